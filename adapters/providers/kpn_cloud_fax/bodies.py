"""Looks into bodies of which no definition is published: members by their assumed names, times, and what the question was.

What an answer does not say stands in the question: `Arrival.name` is our own path and query, and behind `#` what was known when it
was asked, the account's time zone and whether the job is a text message.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from datetime import UTC
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit
from zoneinfo import ZoneInfo

from adapters.providers.kpn_cloud_fax.statuses import MEMBERS
from adapters.providers.kpn_platform import bounded, count
from adapters.providers.reading import json_value, repaired, text, time_epoch, time_iso
from ledger.observations import Address, Arrival, ProviderTime, UnreadableError, ZoneBasis


class Asked(NamedTuple):
    """What a question was.

    Attributes:
        about: the job that it was about, or "".
        channel: `sms` or "".
        zone: of the account, or None where it was not known.
    """

    about: str = ""
    channel: str = ""
    zone: ZoneInfo | None = None


def asked(name: str) -> Asked:
    """What `Arrival.name` tells of the question; of a name that is no path, nothing."""
    try:
        path, query, known = urlsplit(name)[2:]
    except ValueError:
        return Asked()
    named = {plain_name(key): value.strip() for key, value in parse_qsl(query)}
    behind = dict(parse_qsl(known))
    parent, last = ["", *path.rstrip("/").split("/")][-2:]
    named |= {"key": unquote(last)} if parent == "document" else {}
    about = next((named[key] for key in ("jobid", "key", "id") if named.get(key)), "")
    return Asked(text(repaired(about)), behind.get("channel", ""), zone_named(behind.get("zone", "")))


def question(path: str, *, zone: str = "", channel: str = "", **query: object) -> tuple[str, str]:
    """Address of a question, and the name under which its answer is kept."""
    url = f"{path}?{urlencode(query)}" if query else path
    known = urlencode({key: value for key, value in (("zone", zone), ("channel", channel)) if value}, quote_via=quote)
    return url, f"{url}#{known}" if known else url


def zone_named(name: str) -> ZoneInfo | None:
    """The zone of that name in the time zone database, or None."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # unknown; no name at all; the name of a folder
        return None


def folded(word: str) -> str:
    """A word in the form of the tables."""
    return re.sub(r"[\s_-]+", "_", word.strip().casefold())


def plain_name(name: str) -> str:
    """The name of a member in the form of MEMBERS."""
    return re.sub("[_-]", "", name.casefold())


def plain(value: Any) -> Any:
    """The same JSON with member names in the form of MEMBERS; of two that become one, the first counts."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {plain_name(name): plain(item) for name, item in reversed(value.items())}
    return value


def member(holder: Mapping[str, Any], name: str) -> Any:
    """The first member of that meaning that says something."""
    return next((holder[known] for known in MEMBERS[name] if holder.get(known) not in (None, "")), None)


def said(holder: Mapping[str, Any], name: str) -> str:
    """A member as text, or ""."""
    return text(member(holder, name)).strip()


def rows(value: object) -> list[dict[str, Any]]:
    """A list of objects; a bare number among them is a target."""
    listed = value if isinstance(value, list) else [] if value is None else [value]
    return [row if isinstance(row, dict) else {"target": text(row)} for row in bounded(listed)]


def counts(row: Mapping[str, Any], *names: str) -> dict[str, int]:
    """Those of the members that are small counts."""
    return {name: number for name in names if (number := count(member(row, name))) is not None}


def address(row: Mapping[str, Any], kind: str) -> Address | None:
    """The target that a row names."""
    number = said(row, "target")
    return Address(kind, number) if number else None


def targets(holder: Mapping[str, Any], kind: str) -> tuple[Address, ...]:
    """All targets that are named, each once."""
    found = (address(row, kind) for row in rows(member(holder, "targets")))
    return tuple(dict.fromkeys(each for each in found if each))


def time(written: str, zone: ZoneInfo | None) -> ProviderTime | None:
    """A time; one without offset is taken in the account's zone where that is known, else as UTC, assumed."""
    read = time_iso(written, ZoneBasis.ASSUMED) or time_epoch(written)
    if read is None or zone is None or read.zone is not ZoneBasis.ASSUMED:
        return read
    try:
        return ProviderTime(read.at.replace(tzinfo=zone).astimezone(UTC), written, ZoneBasis.DOCUMENTED)
    except OverflowError:
        return read


def instant(occurred: ProviderTime | None, written: str) -> tuple[str, ...]:
    """A time as a part of an identity: the moment, because the account's zone may be learned or changed; as written where unread."""
    if occurred is None:
        return (written,) if written else ()
    return (occurred.at.isoformat().replace("+00:00", "Z"),)


def check_success(arrival: Arrival) -> None:
    """Refuse an error in the place of what was asked for.

    Raises:
        UnreadableError: the answer is no success.
    """
    if arrival.status is not None and not 200 <= arrival.status < 300:
        msg = f"HTTP {arrival.status} instead of an answer"
        raise UnreadableError(msg)


def read(arrival: Arrival, listed: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body of a success, its member names in the form of MEMBERS; a bare list stands for the member `listed`.

    Returns:
        The body, and the note that says when something in it was replaced.

    Raises:
        UnreadableError: it is no success, or not JSON.
    """
    check_success(arrival)
    given = json_value(arrival.body)
    fit = repaired(given)
    body = plain(fit) if isinstance(fit, dict) else {listed: plain(fit)} if isinstance(fit, list) else {}
    return body, () if fit == given else ("text_repaired",)


def carried(body: bytes) -> tuple[bytes, dict[str, Any]]:
    """The document in a body: its bytes, or what stands as base64 in a JSON object; with the other members of that object."""
    try:
        found = plain(repaired(json_value(body)))
        content = said(found, "content") if isinstance(found, dict) else ""
        return (b64decode(content, validate=True), found) if content else (body, {})
    except (UnreadableError, Base64Error, ValueError):
        return body, {}
