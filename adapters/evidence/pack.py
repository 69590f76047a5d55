"""Builds the evidence pack of one message, or of chosen recipients, at a signed head of the log.

The bytes are a function of (message, tree size, disclosures, language, template), apart from signatures and from time-stamps, which may
come later: nothing here reads a clock. What is
shown is chosen field by field; originals that name others stay out (`originals`). Recording that a pack left is `record_export`,
after its bytes are made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.accounts import CONSOLE, Accounts
from adapters.evidence import container, verify
from adapters.evidence.names import People, emails_in
from adapters.evidence.originals import Disclosed, Original, collect, open_all
from adapters.evidence.readme import readme
from adapters.evidence.trail import Trail, tell
from adapters.stamping import checkpoint_subject
from ledger import notes, proofs
from ledger.addresses import kept, normal
from ledger.application import Ledger, Opened
from ledger.checkpoints import HeadFile, SignedHead
from ledger.commitments import to_text
from ledger.errors import ConfigurationError, NotFoundError
from ledger.events import Event
from ledger.identity import STREAM
from ledger.notes import NoteKey, parse_vkey
from ledger.observations import Address
from ledger.proofs import Proof

LANGUAGES = ("en", "it", "nl", "sv")
ABOUT_ALL = frozenset(
    {"subject", "sender", "sender_name", "reference", "document", "occurred", "code", "reason", "name"}
)
"""Fields about a whole message that a pack for chosen recipients shows unless it is told which; other texts may speak of anybody."""
SENDERS = frozenset({"sender", "sender_name", "provider_name", "receipt_message_id", "reference"})
EXTENSIONS = {
    "message/rfc822": "eml",
    "application/json": "json",
    "application/ocsp-response": "ors",
    "application/pkix-crl": "crl",
    "application/xml": "xml",
    "text/xml": "xml",
    "text/plain": "txt",
}
MAX_RECORDED = 400
VERIFIER = Path(verify.__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked for.

    Attributes:
        recipients: their indexes; None for the whole message.
        fields: field paths, or their first words (`subject`, `reference`); empty for all that may be shown. Originals are
            shown only with `artifact` among them.
        include_shared: originals that name others leave all the same; needs a reason, which is recorded.
    """

    tenant: str
    message: str
    recipients: tuple[int, ...] | None = None
    fields: tuple[str, ...] = ()
    language: str = "en"
    include_shared: bool = False
    reason: str = ""


class Disclosure(NamedTuple):
    """What of a story is shown to whoever asked.

    Attributes:
        shown: position -> field path -> value, as far as it is disclosed.
        numbers: position -> number of the event in the pack.
    """

    trail: Trail
    events: tuple[Event, ...]
    numbers: Mapping[int, str]
    shown: Mapping[int, Mapping[str, Opened]]
    originals: tuple[Original, ...]

    def path(self, original: Original) -> str:
        """Where an original lies in the pack; nothing in the name comes from outside but tokens of our tables."""
        folder = "webhooks" if original.event.fields.get("arrival") == "webhook" else "receipts"
        media_type = self.shown[original.event.position][original.path].value.get("media_type", "")
        extension = EXTENSIONS.get(media_type, "eml" if original.kind == "receipt" else "bin")
        word = "".join(c if c.isascii() and c.isalnum() else "-" for c in original.kind) or "original"
        return f"{folder}/{self.numbers[original.event.position]}-{word}-{original.role}.{extension}"


class Draft(NamedTuple):
    """All that a pack says, before it is written; the report is made from it. From `trail` on as in `Disclosure`."""

    ask: Ask
    head: SignedHead
    keys: tuple[NoteKey, ...]
    trail: Trail
    events: tuple[Event, ...]
    numbers: Mapping[int, str]
    shown: Mapping[int, Mapping[str, Opened]]
    originals: tuple[Original, ...]

    def path(self, original: Original) -> str:
        """As `Disclosure.path`."""
        return Disclosure(*self[3:]).path(original)


@dataclass(frozen=True, slots=True)
class Finish:
    """What makes a pack presentable, each optional.

    Attributes:
        template: name and version of the report's template.
        report: draft -> PDF.
        seal: members -> members of META-INF, or nothing.
        trust: copies of root certificates, by file name below trust/.
        worth: what the seal is worth, in plain words; "" without one.
        token: as `adapters.stamping.Timestamps.token`.
    """

    template: str = "none"
    report: Callable[[Draft], bytes] | None = None
    seal: Callable[[Mapping[str, bytes]], Mapping[str, bytes]] | None = None
    trust: Mapping[str, bytes] = field(default_factory=dict)
    worth: str = ""
    token: Callable[[str], bytes] = lambda _: b""


class Pack(NamedTuple):
    """A finished pack."""

    data: bytes
    draft: Draft

    @property
    def name(self) -> str:
        return f"evidence-{self.draft.trail.message}-{self.draft.head.checkpoint.size}.asice"


def head_at(ledger: Ledger, heads: HeadFile, size: int) -> SignedHead:
    """The signed head of a tree size.

    Raises:
        NotFoundError: no head of that size was signed; names the nearest that were.
    """
    below = above = 0
    found = None
    for head in heads:
        signed = head.checkpoint
        if signed.size == size and size and signed.root == ledger.root_at(size):
            found = head
        below = max(below, signed.size) if signed.size < size else below
        above = min(above or signed.size, signed.size) if signed.size > size else above
    if found is None:
        near = " and ".join(str(each) for each in (below, above) if each) or "none"
        msg = f"no head of {size} events was signed; the nearest sizes are {near}"
        raise NotFoundError(msg)
    return found


def build(
    ledger: Ledger, ask: Ask, head: SignedHead, private_keys: Sequence[Ed25519PrivateKey], finish: Finish | None = None
) -> Pack:
    """The pack.

    Args:
        private_keys: of the log, in use today; they sign the trail head.

    Raises:
        NotFoundError: at that size the tenant had no such message or recipient.
        ConfigurationError: an unknown language, or others are to be included without a reason.
    """
    if ask.language not in LANGUAGES:
        msg = f"there is no report in {ask.language!r}; there are {', '.join(LANGUAGES)}"
        raise ConfigurationError(msg)
    if ask.include_shared and not ask.reason.strip():
        msg = "originals that name others leave only with a reason (--reason TEXT), which is recorded"
        raise ConfigurationError(msg)
    finish = finish or Finish()
    draft = _draft(ledger, ask, head)
    members = {
        **_proofs(ledger, draft),
        **_disclosures(draft),
        **_originals(draft, finish),
        **_log(draft, private_keys, finish),
    }
    if finish.report is not None:
        members["report.pdf"] = finish.report(draft)
    members |= {f"trust/{name}": data for name, data in finish.trust.items()}
    members |= {
        "mimetype": container.MIME_TYPE,
        "verify.py": VERIFIER.read_bytes(),
        "trail.json": _trail(draft, finish),
    }
    chosen = "all" if draft.trail.is_whole else ", ".join(map(str, draft.trail.recipients)) + " only"
    members["README.txt"] = readme(
        draft.trail.message, chosen, head.checkpoint, draft.keys, draft.originals, worth=finish.worth
    )
    members["SHA256SUMS"] = container.sums(members)
    members |= finish.seal(members) if finish.seal is not None else {}
    return Pack(container.write(members), draft)


def record_export(accounts: Accounts, pack: Pack, actor: str = CONSOLE) -> int:
    """Write that a pack left, in the stream of the message's account; returns the position."""
    draft = pack.draft
    account = next((str(e.fields["account"]) for e in draft.trail.events if "account" in e.fields), "evidence")
    out = [o.artifact for o in draft.originals if not o.withheld][:MAX_RECORDED]
    counts = {"events": len(draft.events), "originals": len(out), "recipients": len(draft.trail.recipients)}
    clear: dict[str, Any] = {
        "streams": [draft.trail.message],
        "tree_size": draft.head.checkpoint.size,
        "numbers": counts,
    }
    clear |= {"rule": "export.shared" if draft.ask.include_shared else "export.pack"} | (
        {"artifacts": out} if out else {}
    )
    return accounts.record("evidence.exported", draft.ask.tenant, account, actor, clear, draft.ask.reason.strip())


# --- what is shown


def _draft(ledger: Ledger, ask: Ask, head: SignedHead) -> Draft:
    return Draft(ask, head, _log_keys(ledger, head), *disclose(ledger, ask, head.checkpoint.size))


def disclose(ledger: Ledger, ask: Ask, size: int) -> Disclosure:
    """What of a story may be shown, as of a tree size.

    Raises:
        NotFoundError: at that size the tenant had no such message or recipient.
    """
    trail = tell(ledger, ask.tenant, ask.message, size, ask.recipients)
    whole = trail if trail.is_whole else tell(ledger, ask.tenant, ask.message, size, None)
    originals = collect(ledger, ask.tenant, trail)
    events = {e.position: e for e in (*trail.events, *(o.event for o in originals if o.event.position <= size))}
    ordered = tuple(events[position] for position in sorted(events))
    opened = ledger.disclosures(ordered)
    everything = opened if trail.is_whole else ledger.disclosures(whole.events)
    people = _people(trail, whole, everything)
    wants_originals = not ask.fields or "artifact" in ask.fields
    for original in originals:
        original.withheld = original.withheld or ("" if wants_originals else "not_chosen")
    open_all(ledger, ask.tenant, trail, originals, opened, people, overrule=ask.include_shared)
    numbers = {event.position: f"{n:04d}" for n, event in enumerate(ordered, 1)}
    shown = _shown(ask, trail, originals, opened, people)
    return Disclosure(trail, ordered, numbers, shown, tuple(originals))


def _people(trail: Trail, whole: Trail, opened: Disclosed) -> People:
    """Everybody the whole story names, told apart by whether they were chosen."""
    shown: set[str] = set()
    hidden: list[Address] = []
    values = [(path, each) for said in opened.values() for path, each in said.items()]
    for path, each in values:
        if path.partition(".")[0] == "recipient" and isinstance(each.value, dict):
            address = kept(each.value)
            index = whole.persons.get((each.owner, int(path.partition(".")[2]))) if "." in path else None
            if trail.is_whole or index in trail.recipients:
                shown.add(normal(address))
            else:
                hidden.append(address)
    hidden = [address for address in hidden if normal(address) not in shown]
    known = emails_in(each.value for path, each in values if path.partition(".")[0] in SENDERS)
    return People(frozenset(shown), tuple(hidden), known - {normal(a) for a in hidden}, not trail.is_whole)


def _shown(
    ask: Ask, trail: Trail, originals: Sequence[Original], opened: Disclosed, people: People
) -> dict[int, dict[str, Opened]]:
    digests = {(o.event.position, o.path) for o in originals if not o.withheld}
    tied = {
        (event.position, event.fields["artifacts"].index(o.artifact))
        for o in originals
        if not o.withheld
        for event in o.resting
    }
    digests |= {(position, f"artifact.{index}") for position, index in tied}
    own = {event.position for event in trail.events}
    found: dict[int, dict[str, Opened]] = {}
    for position, said in opened.items():
        for path, each in said.items():
            if path.startswith("artifact."):
                may = (position, path) in digests
            else:
                may = position in own and _may_show(ask, trail, path, each, people)
            if may:
                found.setdefault(position, {})[path] = each
    return found


def _may_show(ask: Ask, trail: Trail, path: str, each: Opened, people: People) -> bool:
    word = path.partition(".")[0]
    if ask.fields and not {path, word} & set(ask.fields):
        return False
    if trail.is_whole:
        return True
    if each.person >= 0:
        return trail.persons.get((each.owner, each.person)) in trail.recipients
    if word == "recipient" or (word not in ABOUT_ALL and not ask.fields):
        return False
    return not people.names_hidden([json.dumps(each.value, ensure_ascii=False)])


# --- members


def _proofs(ledger: Ledger, draft: Draft) -> dict[str, bytes]:
    members = {}
    for event in draft.events:
        number = draft.numbers[event.position]
        hashes = ledger.inclusion_proof(event.position, draft.head.checkpoint.size)
        members[f"events/{number}.json"] = event.leaf
        members[f"proofs/{number}.tlog-proof"] = proofs.encode(Proof(event.position - 1, hashes, draft.head.note))
    return members


def _disclosures(draft: Draft) -> dict[str, bytes]:
    events = {
        draft.numbers[position]: {
            path: {"salt": to_text(each.salt), "value": each.value} for path, each in said.items()
        }
        for position, said in draft.shown.items()
    }
    return {"disclosures.json": _json({"format": verify.DISCLOSURES_FORMAT, "events": events})}


def _originals(draft: Draft, finish: Finish) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    entries = []
    for original in draft.originals:
        number = draft.numbers[original.event.position]
        entry: dict[str, Any] = {
            "artifact": original.artifact,
            "event": number,
            "role": original.role,
            "kind": original.kind,
        }
        entry["commitment"] = original.event.fields.get("commit", {}).get(original.path, "")
        entry["shows"] = [
            {"event": draft.numbers[e.position], "type": e.type, "code": str(e.fields.get("code", ""))}
            for e in original.resting
        ]
        if original.body is None:
            entry["withheld"] = original.withheld
        else:
            path = entry["path"] = draft.path(original)
            members[path] = original.body
            token = finish.token(original.artifact)
            members |= {f"{path}.tst": token} if token else {}
        entries.append(entry)
    return {**members, "artifacts.json": _json(entries)}


def _log(draft: Draft, private_keys: Sequence[Ed25519PrivateKey], finish: Finish) -> dict[str, bytes]:
    checkpoint = draft.head.checkpoint
    lines = [verify.TRAIL_HEAD, checkpoint.origin, str(checkpoint.size)]
    lines += [f"{stream} {last}" for stream, last in sorted(draft.trail.streams.items())]
    signed = notes.sign("\n".join(lines) + "\n", [(checkpoint.origin, private) for private in private_keys])
    policy = "".join(f"log {key.vkey()}\n" for key in draft.keys) + "quorum none\n"
    token = finish.token(checkpoint_subject(draft.head))
    members = {"log/checkpoint": draft.head.note, "log/trail-head": signed, "log/policy": policy.encode()}
    return members | ({"log/checkpoint.tst": token} if token else {})


def _log_keys(ledger: Ledger, head: SignedHead) -> tuple[NoteKey, ...]:
    """The log's keys that signed the head, as the log's own stream named them by then."""
    named = [
        e.fields["log_key"]
        for e in ledger.stream(STREAM)
        if "log_key" in e.fields and e.position <= head.checkpoint.size
    ]
    keys = dict.fromkeys(NoteKey(head.checkpoint.origin, parse_vkey(text).public) for text in named)
    return tuple(notes.verified_by(notes.parse(head.note), keys))


def _trail(draft: Draft, finish: Finish) -> bytes:
    trail = draft.trail
    own = {event.position for event in trail.events}
    return _json(
        {
            "format": verify.TRAIL_FORMAT,
            "message": trail.message,
            "recipients": None if trail.is_whole else list(trail.recipients),
            "tree_size": draft.head.checkpoint.size,
            "streams": trail.streams,
            "beside": [draft.numbers[e.position] for e in draft.events if e.position not in own],
            "language": draft.ask.language,
            "template": finish.template,
        }
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"
