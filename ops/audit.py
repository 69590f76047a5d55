"""Asks OSV (osv.dev), which collects the advisories of PyPI, whether a version in requirements.lock is known to be vulnerable.

`python -m ops.audit` is part of `./ops/test`. Where the data cannot be reached it says so and passes: a build must not depend on somebody
else's server. Nothing is sent but names and versions of public packages.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from adapters import reaching

URL = "https://api.osv.dev/v1/querybatch"
LOCK = Path(__file__).parents[1] / "requirements.lock"
TIMEOUT_S = 15.0
ACCEPTED: dict[str, str] = {}
"""Id of an advisory -> why it does not concern us."""

_LOCKED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


class Package(NamedTuple):
    """A version that is installed somewhere."""

    name: str
    version: str


class UnreachableError(Exception):
    """The data could not be had; nothing is known."""


class _Advisory(msgspec.Struct):
    id: str


class _Result(msgspec.Struct):
    vulns: list[_Advisory] = []


class _Answer(msgspec.Struct):
    results: list[_Result]


def locked(text: str) -> list[Package]:
    """The packages of a lock file."""
    return [Package(*found) for found in _LOCKED.findall(text)]


async def advisories(
    packages: Sequence[Package], url: str = URL, timeout_s: float = TIMEOUT_S
) -> dict[Package, list[str]]:
    """The ids of advisories about each package that has any.

    Raises:
        UnreachableError: says why.
    """
    asked = [{"package": {"name": p.name, "ecosystem": "PyPI"}, "version": p.version} for p in packages]
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            aiohttp.ClientSession(connector=reaching.connector(), timeout=timeout) as session,
            session.post(url, data=msgspec.json.encode({"queries": asked}), allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                msg = f"it answered {answer.status}"
                raise UnreachableError(msg)
            found = msgspec.json.decode(await answer.read(), type=_Answer).results
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
        raise UnreachableError(type(error).__name__) from error
    if len(found) != len(packages):
        msg = f"{len(packages)} were asked for, {len(found)} answered"
        raise UnreachableError(msg)
    named = {p: [v.id for v in r.vulns if v.id not in ACCEPTED] for p, r in zip(packages, found, strict=True)}
    return {package: ids for package, ids in named.items() if ids}


def main(url: str = URL, timeout_s: float = TIMEOUT_S) -> int:
    """Audit requirements.lock; the exit code: 1 when something is known, 0 when not, and when nobody could be asked."""
    packages = locked(LOCK.read_text())
    try:
        found = asyncio.run(advisories(packages, url, timeout_s))
    except UnreachableError as error:
        print(
            f"dependency audit skipped: the advisories of osv.dev cannot be reached ({error}); CI that can asks again"
        )
        return 0
    for package, ids in found.items():
        print(f"{package.name} {package.version}: {', '.join(ids)}; ./ops/lock --upgrade takes a newer one")
    print(f"dependency audit: {len(packages)} packages, {len(found)} with advisories")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
