"""Reads the sample folders of the providers and unwraps what their expected.json claims.

A case is `samples/<case>/` with
  body.raw       the exact bytes as they arrived
  headers.json   {"operation": …, "kind": …, "observed_at": …, "status": …, "headers": {…}, "request": text or absent,
                  "name": URL path or file name it came by (default: the case's name),
                  "keys": {key id: secret} for signed webhooks}
  expected.json  {"observations": […]} or {"unreadable": true} or {"refused": true}; every value is
                  {"is": VALUE, "from": "FILE:LINE"}: the line of the case (or of ../../statuses.py) it rests on
  ORIGIN         one paragraph: who wrote it and from which published source
A word list is `samples/<name>.words/`: the same files, body.raw holding `{{word}}`, and words.tsv with a line
`word<TAB>type<TAB>reason` for each word, written by hand.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.providers import registry
from ledger.observations import Arrival, ArrivalKind, Observation

PROVIDERS = Path(__file__).parents[2] / "adapters" / "providers"


def cases(suffix: str = "") -> list[Path]:
    """Sample folders of all providers, in a fixed order; `.words` folders only when asked for."""
    found = (p.parent for p in PROVIDERS.glob("*/samples/*/body.raw"))
    return sorted(p for p in found if p.suffix == suffix)


def provider_of(case: Path) -> str:
    return case.parents[1].name


def case_id(case: Path) -> str:
    return f"{provider_of(case)}/{case.name}"


def arrival(case: Path, *, body: bytes | None = None) -> Arrival:
    """The arrival that a case describes."""
    meta = json.loads((case / "headers.json").read_bytes())
    request = meta.get("request")
    return Arrival(
        provider=provider_of(case),
        account="sample",
        operation=meta["operation"],
        kind=ArrivalKind(meta["kind"]),
        observed_at=datetime.fromisoformat(meta["observed_at"]),
        body=(case / "body.raw").read_bytes() if body is None else body,
        headers=meta.get("headers", {}),
        status=meta.get("status"),
        request=None if request is None else request.encode(),
        name=meta.get("name", case.name),
    )


def keys(case: Path) -> dict[str, bytes]:
    meta = json.loads((case / "headers.json").read_bytes())
    return {key_id: secret.encode() for key_id, secret in meta.get("keys", {}).items()}


def plain(observation: Observation) -> dict[str, Any]:
    """An observation as JSON types, empty fields left out."""

    def convert(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.isoformat().replace("+00:00", "Z")
        if isinstance(value, dict):
            return {k: convert(v) for k, v in value.items()}
        if hasattr(value, "_asdict"):
            return {k: convert(v) for k, v in value._asdict().items() if v or k not in {"sha1_forms", "region"}}
        if isinstance(value, tuple | list):
            return [convert(v) for v in value]
        return value

    fields = {f.name: convert(getattr(observation, f.name)) for f in dataclasses.fields(observation)}
    return {k: v for k, v in fields.items() if v not in (None, "", [], {}, False)}


def unwrap(value: Any, check: Any) -> Any:
    """The bare values of an expected.json; `check(where)` is called for every `from`."""
    if isinstance(value, dict) and set(value) == {"is", "from"}:
        check(value["from"])
        return value["is"]
    if isinstance(value, dict):
        return {k: unwrap(v, check) for k, v in value.items()}
    if isinstance(value, list):
        return [unwrap(v, check) for v in value]
    msg = f"bare value {value!r}: write it as {{'is': …, 'from': 'FILE:LINE'}}"
    raise AssertionError(msg)


def vocabulary() -> list[tuple[str, str, str]]:
    """(provider, table, word) of every row that must be exercised by a sample or a word list."""
    return [
        (name, table, row.word)
        for name, provider in registry().items()
        for table, rows in provider.tables.items()
        for row in rows
        if row.type
    ]
