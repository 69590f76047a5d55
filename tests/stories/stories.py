"""Reads the stories and tells them to a ledger.

A story is a file `<provider>/<name>.json`:

    about         what it shows, in a sentence
    kinds         of the kinds in kinds.py, those of which it is an example
    judged        true where signatures of originals are checked as they come, trusting nobody; else they are left alone
    keys          webhook secrets by key id, for arrivals that are signed
    registration  the sender's own declaration, or absent: recipients [kind, address], references [kind, value], batch [kind, value]
    arrivals      arrival records (adapters/records.py) in the order in which they would come; besides:
                    `body` may be a list of lines (joined by CR LF) or a JSON object (written compactly),
                    `signed_by` names the key of `keys` that signs the body,
                    `times` says how often it comes (once, if absent)
    expected      deliveries: recipient [kind, address], status, sub_status, since, is_final, reasons ("type code rule effect", `-` for
                  no code), grade, missing (what), and where it is given: deadlines ("name state warn_at breach_at"); lanes: how
                  many items wait in each; quarantined: how many webhooks lie there

What is expected was written by hand, from the provider's documentation and the tables in projections/rules.py, grades.py and
deadlines.py.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.receiving import attester, read, verified
from adapters.records import decode
from ledger.addresses import normal
from ledger.intake import Intake
from ledger.names import Reading
from ledger.observations import Address, Arrival, ArrivalKind, Reference, Verdict
from ledger.streams import Registration
from projections.views import DeliveryView
from tests.world import TENANT, World

FOLDER = Path(__file__).parent
ACCOUNT = "story"
SENT_AT = "2026-03-02T07:00:00.000000Z"
SHARED = frozenset({"own_id", "own_guid", "own_reference"})

Told = tuple[str, ...]
"""What of a delivery must not depend on order: recipient, status, sub-status, since, finality, reasons."""

Proof = Counter[Told]
"""Per recipient and kind of evidence what is expected of it: grade, missing, deadlines."""


def _kpn(secret: bytes, key_id: str, arrival: Arrival) -> dict[str, str]:
    return {
        "x-kpn-webhook-signature": hmac.new(secret, arrival.body, hashlib.sha256).hexdigest(),
        "x-kpn-webhook-timestamp": str(int(arrival.observed_at.timestamp())),
        "x-kpn-webhook-key-id": key_id,
    }


def _ekopost(secret: bytes, _: str, arrival: Arrival) -> dict[str, str]:
    return {"x-ekopost-signature": hmac.new(secret, arrival.body, hashlib.sha1).hexdigest()}


SIGNERS: dict[str, Callable[[bytes, str, Arrival], dict[str, str]]] = {"kpn_sms": _kpn, "ekopost": _ekopost}


@dataclass(frozen=True, slots=True)
class Story:
    """One story; `arrivals` has each arrival once, `repeated` as often as it comes, `signers` the keys that sign some of them."""

    name: str
    provider: str
    kinds: frozenset[str]
    judged: bool
    keys: dict[str, bytes]
    signers: frozenset[str]
    registration: Registration | None
    arrivals: tuple[Arrival, ...]
    repeated: tuple[Arrival, ...]
    deliveries: Counter[Told]
    proof: Proof
    lanes: dict[str, int]
    quarantined: int


def load(path: Path) -> Story:
    """Read a story.

    Raises:
        KeyError: something that every story says is not there; noted with the file.
    """
    try:
        return _load(path)
    except KeyError as error:
        error.add_note(f"in {path.parent.name}/{path.name}")
        raise


def _load(path: Path) -> Story:
    said = json.loads(path.read_bytes())
    provider = path.parent.name
    keys = {key_id: secret.encode() for key_id, secret in said.get("keys", {}).items()}
    arrivals = [(_arrival(provider, keys, each), each.get("times", 1)) for each in said["arrivals"]]
    expected = said["expected"]
    return Story(
        name=f"{provider}/{path.stem}",
        provider=provider,
        kinds=frozenset(said["kinds"]),
        judged=said.get("judged", False),
        keys=keys,
        signers=frozenset(each["signed_by"] for each in said["arrivals"] if "signed_by" in each),
        registration=_registration(provider, said["registration"]) if "registration" in said else None,
        arrivals=tuple(arrival for arrival, _ in arrivals),
        repeated=tuple(arrival for arrival, times in arrivals for _ in range(times)),
        deliveries=Counter(map(_expected, expected["deliveries"])),
        proof=Counter(line for said in expected["deliveries"] for line in _expected_proof(said)),
        lanes=expected.get("lanes", {}),
        quarantined=expected.get("quarantined", 0),
    )


def stories() -> list[Story]:
    return [load(path) for path in sorted(FOLDER.glob("*/*.json"))]


def params(told_stories: Iterable[Story]) -> list[Any]:
    """Each story by its name."""
    return [pytest.param(story, id=story.name) for story in told_stories]


def _arrival(provider: str, keys: dict[str, bytes], said: dict[str, Any]) -> Arrival:
    body = said["body"]
    if isinstance(body, list) and all(isinstance(line, str) for line in body):
        body = "".join(f"{line}\r\n" for line in body)
    elif not isinstance(body, str):
        body = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    record = {name: value for name, value in said.items() if name not in {"signed_by", "times"}}
    record |= {"provider": provider, "account": ACCOUNT, "body": body}
    if not isinstance(record.get("request", ""), str):
        record["request"] = json.dumps(record["request"], separators=(",", ":"), ensure_ascii=False)
    arrival = decode(json.dumps(record).encode(), datetime.now(UTC), lambda _: "").arrival
    if "signed_by" in said:
        signature = SIGNERS[provider](keys[said["signed_by"]], said["signed_by"], arrival)
        record["headers"] = {**record.get("headers", {}), **signature}
        arrival = decode(json.dumps(record).encode(), datetime.now(UTC), lambda _: "").arrival
    return arrival


def _registration(provider: str, said: dict[str, Any]) -> Registration:
    return Registration(
        account=ACCOUNT,
        provider=provider,
        recipients=tuple(Address(*each) for each in said["recipients"]),
        references=tuple(Reference(kind, value, kind not in SHARED) for kind, value in said.get("references", ())),
        batch=Reference(said["batch"][0], said["batch"][1], exclusive=False) if "batch" in said else None,
        labels=tuple(said.get("labels", ())),
        texts=said.get("texts", {}),
    )


def _expected(said: dict[str, Any]) -> Told:
    address = Address(*said["recipient"])
    told = (said["status"], said["sub_status"], said["since"], str(said["is_final"]))
    return (address.kind, normal(address), *told, *sorted(said["reasons"]))


def _expected_proof(said: dict[str, Any]) -> list[Told]:
    address = Address(*said["recipient"])
    who = (address.kind, normal(address))
    deadlines = [(*who, "deadlines", *sorted(said["deadlines"]))] if "deadlines" in said else []
    return [(*who, "grade", said["grade"]), (*who, "missing", *sorted(said["missing"])), *deadlines]


def told(view: DeliveryView) -> Told:
    """A delivery as the ledger tells it."""
    address = Address(view.address.kind, view.address.address)
    reasons = (f"{r.type} {r.code or '-'} {r.rule} {r.effect}" for r in view.reasons)
    said = (view.status, view.sub_status, _plain(view.since), str(view.is_final))
    return (address.kind, normal(address), *said, *sorted(reasons))


def proof(world: World, story: Story) -> Proof:
    """The evidence for each delivery, as far as the story says what it should be."""
    asked = {line[:3] for line in story.proof}
    return Counter(line for view in world.deliveries() for line in _proof(view) if line[:3] in asked)


def _proof(view: DeliveryView) -> list[Told]:
    address = Address(view.address.kind, view.address.address)
    who = (address.kind, normal(address))
    deadlines = (f"{d.name} {d.state} {_plain(d.warn_at)} {_plain(d.breach_at)}" for d in view.deadlines)
    missing = (missing.what for missing in view.evidence.missing)
    return [
        (*who, "grade", view.evidence.grade),
        (*who, "missing", *sorted(missing)),
        (*who, "deadlines", *sorted(deadlines)),
    ]


def _plain(at: str) -> str:
    return at.replace(".000000Z", "Z")


# --- telling


def begin(world: World, story: Story) -> World:
    """Open the account and add its webhook keys; the world as the story needs it."""
    world.accounts.add(TENANT, ACCOUNT, story.provider)
    for key_id, secret in story.keys.items():
        world.accounts.add_secret(TENANT, ACCOUNT, key_id, secret)
    return replace(world, intake=Intake(world.ledger, attester(tuple))) if story.judged else world


def readings(world: World, arrivals: Iterable[Arrival]) -> list[Reading]:
    """Verify and read arrivals; what fails verification goes to the quarantine, as it does in production."""
    keys = world.accounts.secrets(TENANT, ACCOUNT)
    found = []
    for each in arrivals:
        arrival, checked = verified(each, keys, each.observed_at)
        if checked.verdict is Verdict.REFUSED:
            world.quarantine.keep(TENANT, arrival, checked.why)
        else:
            found.append(read(TENANT, arrival))
    return found


def admit(world: World, arrivals: Sequence[Arrival]) -> None:
    """Admit arrivals in one call; each must have been stored, or been there."""
    for outcome in world.intake.admit(readings(world, arrivals)):
        if isinstance(outcome, Exception):
            raise outcome


def register(world: World, story: Story) -> None:
    """Declare the send, as an import of past sends does; again is nothing new."""
    if story.registration is not None:
        clear = {"arrival": str(ArrivalKind.IMPORT), "occurred_at": SENT_AT, "zone": "stated"}
        world.intake.register(TENANT, story.registration, clear, (story.name, story.name))


def outcome(world: World) -> tuple[Counter[Told], dict[str, int], int]:
    """Deliveries, open items by lane, and how much lies in quarantine."""
    deliveries = Counter(map(told, world.deliveries()))
    lanes = Counter(item.lane for item in world.queries.lanes(TENANT))
    return deliveries, dict(lanes), len(world.quarantine.list(TENANT))


def expected(story: Story) -> tuple[Counter[Told], dict[str, int], int]:
    return story.deliveries, story.lanes, story.quarantined
