"""What Ekopost does, without the network: calls in, (HTTP status, JSON) out; letters are printed and posted as its clock goes on.

Source: the API page at api.ekopost.se (objects, states, error codes, webhook) and the answers in public clients of it. Assumptions,
where the page is silent or its samples are lost:

- a second close is refused with 127; anything beyond the last state is refused alike;
- an envelope is transferred at the output date, printed two hours later and posted after six; its campaign is completed after seven;
- an envelope whose digital address failed keeps its id when it is printed instead; `?state=failed` shows the first attempt;
- SMS: `POST /sms` and `GET /sms/{id}`; invitations: `GET /edi/invitations`; reachability: `POST /reachable/{type}`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from adapters.providers.sandboxing import Clock

Reply = tuple[int, Any]

_PHONE = re.compile(r"(\+|00)\d{7,15}")
LARGE_BYTES = 8 * 1024 * 1024
POSTAGES = frozenset({"priority", "economy", "rek", "protected"})
DIGITAL = frozenset({"einbox", "einbox_kivra", "ebank", "email"})

Step = tuple[float, str, str]
"""(hours after the output date, what changes, to what)."""

_PRODUCED = frozenset({"transferred", "completed"})
_PRINTED: tuple[Step, ...] = ((0, "state", "transferred"), (2, "state", "printed"), (6, "state", "posted"))
FATES: dict[str, tuple[Step, ...]] = {
    "usual": _PRINTED,
    "failed": ((0, "state", "transferred"), (1, "state", "failed")),
    "rescheduled": ((0, "rescheduled", "Mottagaren saknar brevlåda"), *_PRINTED),
    "delivered": (*_PRINTED, (24, "tracking", "EN_ROUTE"), (48, "tracking", "DELIVERED")),
    "refused": (*_PRINTED, (24, "tracking", "AVAILABLE_FOR_DELIVERY"), (60, "tracking", "DELIVERY_REFUSED")),
    "returned": (*_PRINTED, (24, "tracking", "AVAILABLE_FOR_DELIVERY"), (360, "tracking", "RETURNED")),
}
"""What becomes of an envelope; which one is chosen by a word in its address (`Service.fates`)."""

ERRORS = {
    "0": "Invalid basic authentication token",
    "100A": "The envelope must contain atleast one (1) document before being closed",
    "101": "A campaign must contain atleast one (1) envelope before being closed",
    "102": "All envelopes inside a campaign must be closed before closing the campaign",
    "103": "An envelope may only contain one (1) document",
    "104": "An envelope may only contain content with mime of 'application/pdf'",
    "105": "Could not extract or identify a postal address in the envelopes main documents",
    "106": "Campaign was not found",
    "107": "Could not open the main document content or find any pages",
    "110": "An envelope may only contain one (1) markup",
    "111": "Envelope was not found",
    "113": "You have exceeded your credit limit for the month",
    "119": "Missing recipient",
    "121": "Can not create more envelopes in campaign",
    "126": "Not unique",
    "127": "Invalid data",
    "130": "Sms text message not encoded into base64",
    "131": "Sms recipients contains invalid phone number",
    "132": "Sms does not contain any recipients",
    "133": 'Sms "FromName" is null or empty',
    "135": "Address validation error",
    "143": "More than 50 documents over 8Mb sent current day",
}


def error(code: str, status: int = 400) -> Reply:
    return status, {"error_code": code, "error_message": ERRORS.get(code, "?"), "developer_message": f"sandbox {code}"}


@dataclass
class Campaign:
    """A campaign; `said` is what answers show of it."""

    said: dict[str, Any]
    output: datetime
    envelopes: dict[str, Envelope] = field(default_factory=dict)


@dataclass
class Envelope:
    """An envelope; `failed` is its first attempt, when that failed and it was printed instead."""

    said: dict[str, Any]
    contents: list[dict[str, Any]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    failed: dict[str, Any] | None = None


class Service:
    """The service of one customer.

    Attributes:
        fates: word in the address -> row of FATES.
        unreachable: recipients without a digital mailbox.
        credit: envelopes that may be closed this month; large: documents over 8 MB that may be sent today.
        production: (unique_id or name) of each envelope that went into production, counted: twice would be two letters.
        webhooks: bodies that are to be delivered.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        api_key: str = "nyckel-till-sandladan",
        fates: Mapping[str, str] | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.api_key = api_key
        self.fates = dict(fates or {})
        self.unreachable: set[str] = set()
        self.credit = self.large = 1_000_000
        self.campaigns: dict[str, Campaign] = {}
        self.production: Counter[str] = Counter()
        self.messages: dict[str, list[dict[str, str]]] = {}
        self.invitations: list[dict[str, str]] = []
        self.webhooks: list[bytes] = []
        self._draw = Random(7)  # noqa: S311  ids of a sandbox, repeatable on purpose

    # --- time

    def advance(self, **span: float) -> None:
        """Put the clock forward and let happen what falls due."""
        self.clock.advance(timedelta(**span))
        for campaign in self.campaigns.values():
            if campaign.said["state"] in {"closed", "transferred"}:
                self._produce(campaign)
            self._track(campaign)

    def _produce(self, campaign: Campaign) -> None:
        hours = (self.clock.now() - campaign.output) / timedelta(hours=1)
        if hours >= 0 and campaign.said["state"] == "closed":
            self._change(campaign.said, "transferred", campaign.output)
            self.production.update(e.said.get("unique_id") or e.said["name"] for e in campaign.envelopes.values())
        if hours >= 7:
            self._track(campaign)
            self._change(campaign.said, "completed", campaign.output + timedelta(hours=7))
            self.webhooks.append(self._completed(campaign))

    def _track(self, campaign: Campaign) -> None:
        hours = (self.clock.now() - campaign.output) / timedelta(hours=1)
        for envelope in campaign.envelopes.values():
            while envelope.steps and envelope.steps[0][0] <= hours and campaign.said["state"] in _PRODUCED:
                after, what, word = envelope.steps.pop(0)
                self._step(envelope, what, word, campaign.output + timedelta(hours=after))

    def _step(self, envelope: Envelope, what: str, word: str, at: datetime) -> None:
        said = envelope.said
        if what == "tracking":
            number = said.get("tracking", {}).get("parcelNo") or _parcel_number(self._draw.randrange(10**8))
            said["tracking"] = {
                "parcelNo": number,
                "trackingState": word,
                "trackingUrl": f"https://tracking.example/{number}",
            }
        elif what == "rescheduled":
            failed = {"state": "failed", "state_changed_at": _iso(at), "failed_reason": word}
            envelope.failed = {**said, **failed}
            said["address"] = {"$type": "postal", "name": ["Namn"], "street": ["Provgatan 1"], "postal_code": "11122"}
            said["address"] |= {"city": "Stockholm", "country": "SE", "use_coverpage": False}
        else:
            self._change(said, word, at)
            said |= {"failed_reason": "Sidan 2 kunde inte skrivas ut"} if word == "failed" else {}
            said["transaction"] = {"state": word, "state_changed_at": _iso(at)}

    def _change(self, said: dict[str, Any], state: str, at: datetime | None = None) -> None:
        said |= {"state": state, "state_changed_at": _iso(at or self.clock.now())}

    def _completed(self, campaign: Campaign) -> bytes:
        keys = ("id", "state", "state_changed_at", "failed_reason")
        told = [{key: e.said.get(key) for key in keys} for e in campaign.envelopes.values()]
        said = {"event": "campaign.completed", "campaign_id": campaign.said["id"], "envelopes": told}
        return json.dumps(said | {key: campaign.said[key] for key in ("state", "state_changed_at")}).encode()

    @staticmethod
    def signature(body: bytes, secret: bytes) -> str:
        return hmac.new(secret, body, hashlib.sha1).hexdigest()

    # --- campaigns

    def create_campaign(self, asked: dict[str, Any]) -> Reply:
        name, output = str(asked.get("name") or ""), str(asked.get("output_date") or "")
        try:
            at = datetime.fromisoformat(output).replace(tzinfo=UTC) if output else self.clock.now()
        except ValueError:
            return error("127")
        now, key = _iso(self.clock.now()), self._guid()
        said = {"id": key, "name": name, "output_date": _iso(at), "cost_center": asked.get("cost_center") or ""}
        said |= {"envelope_count": 0, "state": "opened", "state_changed_at": now, "created_at": now}
        self.campaigns[key] = Campaign(said | {"signing": str(bool(asked.get("signing"))).lower()}, at)
        return 200, dict(self.campaigns[key].said)

    def list_campaigns(self, query: Mapping[str, str]) -> Reply:
        """Between `start` (default: today) and `stop` (tomorrow), the newest first; never in pages."""
        today = self.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        try:
            start = _date(query.get("start"), today)
            stop = _date(query.get("stop"), today + timedelta(days=1))
        except ValueError:
            return error("116")
        wanted = {key: query[key] for key in ("name", "state") if query.get(key)}
        found = [
            dict(c.said)
            for c in reversed(self.campaigns.values())
            if start <= _date(c.said["created_at"], today) <= stop and wanted.items() <= c.said.items()
        ]
        return 200, found

    def campaign(self, key: str) -> Reply:
        found = self.campaigns.get(key)
        return (200, dict(found.said)) if found else (404, {})

    def close_campaign(self, key: str) -> Reply:
        campaign = self.campaigns.get(key)
        if not campaign or campaign.said["state"] != "opened":
            return error("127" if campaign else "106")
        states = {e.said["state"] for e in campaign.envelopes.values()} - {"cancelled"}
        if states != {"closed"}:
            return error("102" if states else "101")
        if self.credit < len(campaign.envelopes):
            return error("113")
        self.credit -= len(campaign.envelopes)
        campaign.output = max(campaign.output, self.clock.now())
        self._change(campaign.said, "closed")
        return 200, dict(campaign.said)

    def cancel_campaign(self, key: str) -> Reply:
        campaign = self.campaigns.get(key)
        if not campaign or campaign.said["state"] not in {"opened", "closed"}:
            return error("127" if campaign else "106")
        for envelope in campaign.envelopes.values():
            self._change(envelope.said, "cancelled")
        self._change(campaign.said, "cancelled")
        return 200, dict(campaign.said)

    # --- envelopes

    def create_envelope(self, key: str, asked: dict[str, Any]) -> Reply:
        campaign = self.campaigns.get(key)
        why = self._refusal(campaign, asked)
        if why or campaign is None:
            return error(why)
        now, envelope = _iso(self.clock.now()), self._guid()
        said = {"id": envelope, **asked, "state": "opened", "state_changed_at": now, "created_at": now}
        text = json.dumps(asked.get("address"), ensure_ascii=False)
        fate = next((fate for word, fate in self.fates.items() if word in text), "usual")
        campaign.envelopes[envelope] = Envelope(said, steps=list(FATES[fate]))
        campaign.said["envelope_count"] += 1
        return 200, dict(said)

    def _refusal(self, campaign: Campaign | None, asked: dict[str, Any]) -> str:
        address, unique = asked.get("address"), asked.get("unique_id")
        is_person = isinstance(address, dict) and address.get("$type") not in {"postal", "einbox_signer"}
        taken = {e.said.get("unique_id") for c in self.campaigns.values() for e in c.envelopes.values()}
        rows = {
            "106": campaign is None,
            "121": campaign and campaign.said["state"] != "opened",
            "126": unique and unique in taken,
            "127": asked.get("postage") not in POSTAGES or (address and next(iter(address), "") != "$type"),
            "119": is_person and not any(v for k, v in (address or {}).items() if k != "$type"),
            "135": asked.get("postage") == "rek" and any(len(n) > 35 for n in (address or {}).get("name", ())),
        }
        return next((code for code, holds in rows.items() if holds), "")

    def envelope(self, key: str, envelope: str, state: str = "") -> Reply:
        found = self._envelope(key, envelope)
        shown = found and (
            found.said if state in {"", found.said["state"]} else found.failed if state == "failed" else None
        )
        return (200, dict(shown)) if shown else (404, {})

    def _envelope(self, key: str, envelope: str) -> Envelope | None:
        campaign = self.campaigns.get(key)
        return campaign.envelopes.get(envelope) if campaign else None

    def list_envelopes(self, key: str, query: Mapping[str, str]) -> Reply:
        campaign = self.campaigns.get(key)
        if campaign is None:
            return 404, {}
        every = [e.said for e in campaign.envelopes.values()]
        if query.get("state") == "failed":
            every += [e.failed for e in campaign.envelopes.values() if e.failed]
        wanted = {name: query[name] for name in ("name", "state") if query.get(name)}
        return 200, [dict(said) for said in every if wanted.items() <= said.items()]

    def close_envelope(self, key: str, envelope: str) -> Reply:
        found = self._envelope(key, envelope)
        if found is None:
            return error("111")
        if found.said["state"] != "opened":
            return error("127")
        if not any(content["type"] in {"document", "markup"} for content in found.contents):
            return error("100A")
        self._change(found.said, "closed")
        return 200, dict(found.said)

    def cancel_envelope(self, key: str, envelope: str) -> Reply:
        found = self._envelope(key, envelope)
        if found is None or found.said["state"] not in {"opened", "closed"}:
            return error("127" if found else "111")
        self._change(found.said, "cancelled")
        return 200, dict(found.said)

    def create_content(self, key: str, envelope: str, asked: dict[str, Any]) -> Reply:
        found = self._envelope(key, envelope)
        if found is None or found.said["state"] != "opened":
            return error("127" if found else "111")
        try:
            data = base64.b64decode(str(asked.get("data") or ""), validate=True)
        except binascii.Error:
            return error("127")
        kind = str(asked.get("type"))
        if kind in {"document", "markup"} and any(content["type"] == kind for content in found.contents):
            return error("103" if kind == "document" else "110")
        why = self._content_refusal(kind, str(asked.get("mime")), data)
        if why:
            return error(why)
        self.large -= len(data) > LARGE_BYTES
        said = {"id": self._guid(), "mime": asked["mime"], "length": len(data), "type": kind}
        said |= {"return_address": "false", "created_at": _iso(self.clock.now())}
        found.contents.append(said)
        return 200, dict(said)

    def _content_refusal(self, kind: str, mime: str, data: bytes) -> str:
        if kind == "markup":
            return "" if mime == "application/xml" else "127"
        rows = {
            "104": mime != "application/pdf",
            "107": not data.startswith(b"%PDF-"),
            "105": b"utan adress" in data,
            "143": len(data) > LARGE_BYTES and self.large <= 0,
        }
        return next((code for code, holds in rows.items() if holds), "")

    # --- beside letters

    def send_sms(self, asked: dict[str, Any]) -> Reply:
        numbers = asked.get("recipients")
        rows = {
            "133": not asked.get("FromName"),
            "132": not numbers,
            "131": not all(_PHONE.fullmatch(str(number)) for number in numbers or ()),
        }
        why = next((code for code, holds in rows.items() if holds), "")
        if why:
            return error(why)
        key, now = self._guid(), _iso(self.clock.now())
        self.messages[key] = [{"number": n, "state": "queued", "state_changed_at": now} for n in numbers or ()]
        self.production[str(asked["data"])] += 1
        return self.sms(key)

    def sms(self, key: str) -> Reply:
        found = self.messages.get(key)
        return (200, {"id": key, "recipients": found}) if found else (404, {})

    def report_sms(self, number: str, state: str) -> None:
        """What the network says of a number, in every message to it."""
        for row in (row for rows in self.messages.values() for row in rows if row["number"] == number):
            row |= {"state": state, "state_changed_at": _iso(self.clock.now())}

    def reachable(self, asked: dict[str, Any]) -> Reply:
        recipient = asked.get("recipient")
        return (404, {}) if recipient in self.unreachable else (200, {"recipient": recipient})

    def times_sent(self, name: str) -> int:
        """How often what has this unique_id went into production."""
        return self.production[name]

    def live(self) -> Iterator[Envelope]:
        """All envelopes of campaigns that were closed."""
        for campaign in self.campaigns.values():
            if campaign.said["state"] not in {"opened", "cancelled"}:
                yield from campaign.envelopes.values()

    def _guid(self) -> str:
        return str(UUID(int=self._draw.getrandbits(128), version=4))


def _iso(at: datetime) -> str:
    """As the page shows times: UTC, and without saying so."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat()


def _parcel_number(serial: int) -> str:
    """With the check digit of UPU standard S10."""
    digits = f"{serial:08}"
    check = 11 - sum(int(d) * w for d, w in zip(digits, (8, 6, 4, 2, 3, 5, 9, 7), strict=True)) % 11
    return f"RR{digits}{ {10: 0, 11: 5}.get(check, check) }SE"


def _date(given: str | None, default: datetime) -> datetime:
    return datetime.fromisoformat(given).replace(tzinfo=UTC) if given else default
