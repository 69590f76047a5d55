"""The report of an evidence pack: PDF/A-3a for people, in their language, the same bytes for the same story.

Everything that came from outside reaches the template as JSON data and is written as plain text: no markup, no control or
direction characters, cut at a length. What the report says is chosen here, how it looks in `template/report.typ`. It rests on
nothing but the story: not on the seal, on tokens or on the clock, which may differ from one export to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import typst

from adapters.evidence.claims import proven, unproven
from adapters.evidence.story import Original, Story
from adapters.evidence.texts import FOLDER, MAX_CHARACTERS, Texts, event_type, plain, rule, texts
from ledger.events import parse_time
from projections.grades import Evidence
from projections.rules import MILESTONES
from projections.views import DeliveryView, TrailEntry

__all__ = ["TEMPLATE", "Original", "Story", "render", "typeset"]

TEMPLATE = "report/2"
"""Stands in a pack's trail.json; changes whenever the same story would give other bytes."""
MAX_ENTRIES = 1_000
MAX_DELIVERIES = 200
MAX_LINES = 20
"""How much of a story the report shows, and of one event; what is cut is said, and stands in the pack."""


def render(story: Story, language: str) -> bytes:
    """The report as PDF/A-3a, unsigned.

    Raises:
        ValueError: no such language.
    """
    return typeset(FOLDER, _data(story, language), story.generated_at)


def typeset(folder: Path, data: Mapping[str, Any], at: str) -> bytes:
    """A PDF/A-3a: the same bytes for the same data.

    Args:
        folder: holds its template, `report.typ`.
        at: when the PDF says that it was made, UTC.
    """
    return typst.compile(
        folder / "report.typ",
        root=folder,
        format="pdf",
        sys_inputs={"data": msgspec.json.encode(data).decode()},
        pdf_standards="a-3a",
        font_paths=_fonts(),
        ignore_system_fonts=True,
        timestamp=int(parse_time(at).timestamp()),
    )


@cache
def _fonts() -> typst.Fonts:
    """Those inside typst, the same on every machine."""
    return typst.Fonts(include_system_fonts=False)


def _when(text: str) -> str:
    """A time as people read it; what is finer than a millisecond stands in the event."""
    if len(text) != 27:
        return plain(text)
    fraction = text[19:23].rstrip("0").rstrip(".")
    return f"{text[:10]} {text[11:19]}{fraction}"


# --- the data of the template


def _data(story: Story, language: str) -> dict[str, Any]:
    words = texts(language)
    label, message = words["label"], story.message
    numbers = {entry.event_id: entry for entry in story.entries}
    deliveries = message.deliveries[:MAX_DELIVERIES]
    addresses = {d.recipient: d.address.address for d in message.deliveries}
    head = story.checkpoint
    return {
        "language": language,
        "label": label,
        "message": message.message,
        "subject": plain(message.values.get("subject", "")),
        "generated_at": _when(story.generated_at),
        "facts": _facts(story, label),
        "deliveries": [_delivery(d, numbers, words) for d in deliveries],
        "deliveries_note": _deliveries_note(story, len(deliveries), label),
        "entries": [_entry(n, e, addresses, language) for n, e in enumerate(story.entries[:MAX_ENTRIES], 1)],
        "entries_note": label["entries_cut"].format(shown=MAX_ENTRIES, count=len(story.entries))
        if len(story.entries) > MAX_ENTRIES
        else "",
        "proven": proven(story, words),
        "unproven": unproven(story, words),
        "documents": [_document(d) for d in message.documents],
        "originals": [_original(o, words) for o in story.originals],
        "origin": plain(head.origin),
        "tree_size": head.size,
        "root": head.root.hex(),
        "log_keys": [{"vkey": plain(key.vkey()), "fingerprint": key.fingerprint()} for key in story.log_keys],
        "commands": _commands(words["verify"]),
    }


def _facts(story: Story, label: dict[str, str]) -> list[tuple[str, str]]:
    """The message at a glance: (name, value) lines."""
    message = story.message
    said = [(label.get(name, name), value) for name, value in message.values.items() if name != "subject"]
    lines = [
        (label["organisation"], message.tenant),
        *said,
        (label["provider"], message.provider),
        (label["account"], message.account),
        *((f"{label['reference']} ({each['kind']})", each["value"]) for each in message.references),
        *((label["label"], each) for each in message.labels),
        (label["registered"], label["registered_yes" if message.registered else "registered_no"]),
        (label["opened"], f"{_when(message.opened_at)} UTC"),
    ]
    return [(plain(name), plain(value)) for name, value in lines if value]


def _deliveries_note(story: Story, shown: int, label: dict[str, str]) -> str:
    notes = []
    if not shown and not story.recipients_withheld:
        notes.append(label["no_recipients"])
    visible = story.message.recipients - story.recipients_withheld
    if shown < visible:
        notes.append(label["deliveries_cut"].format(shown=shown, count=visible))
    if story.recipients_withheld:
        notes.append(label["recipients_withheld"].format(count=story.recipients_withheld))
    return " ".join(notes)


def _delivery(delivery: DeliveryView, entries: dict[str, TrailEntry], words: Texts) -> dict[str, Any]:
    label = words["label"]
    deciding = [entries[r.event_id] for r in delivery.reasons if r.effect == "decides" and r.event_id in entries]
    basis = words["zone"].get(deciding[0].zone or "observed", "") if deciding else ""
    final = label["final" if delivery.is_final else "not_final"]
    since = f"{label['since']} {_when(delivery.since)} UTC" + (f" ({basis})" if basis else "")
    milestones = [(name, delivery.milestones[name]) for name in MILESTONES if name in delivery.milestones]
    return {
        "number": label["number"].format(number=delivery.recipient),
        "address": plain(delivery.address.address or label["not_shown"]),
        "kind": delivery.status,
        "status": words["status"].get(delivery.status, delivery.status),
        "since": (f"{since}; {final}." if delivery.since else f"{final[:1].upper()}{final[1:]}."),
        "word": plain(delivery.sub_status),
        "evidence": _evidence(delivery.evidence, words),
        "milestones": [
            (words["milestone"].get(name, name), f"{_when(m.at)} UTC", words["zone"].get(m.zone, m.zone))
            for name, m in milestones
        ],
    }


def _evidence(evidence: Evidence, words: Texts) -> list[tuple[str, str]]:
    """How strong the evidence for the status is, and what is proven, not proven and missing: (name, text) lines."""
    label, grade = words["label"], evidence.grade
    lines = [(label["evidence"], f"{grade}: {words['evidence_grade'].get(grade, '')}")]
    for table, tokens in (
        ("evidence_claim", evidence.proven),
        ("evidence_doubt", evidence.not_proven),
        ("evidence_missing", [missing.what for missing in evidence.missing]),
    ):
        lines += [(label[table], words[table].get(token, token)) for token in tokens]
    return lines


_SAID_ELSEWHERE = ("artifact.", "document.")
_OWN_LINE = frozenset({"occurred", "code", "reason", "headers"})


def _entry(number: int, entry: TrailEntry, addresses: dict[int, str], language: str) -> dict[str, Any]:
    words = texts(language)
    label = words["label"]
    follows = (words["effect"].get(entry.effect, entry.effect), rule(language, entry.rule) if entry.rule else "")
    basis = (entry.zone or "stated") if entry.occurred_at else "observed"
    about = entry.recipient
    values = _values(entry, label)
    return {
        "number": number,
        "file": f"events/{number:04}.json",
        "position": entry.position,
        "at": _when(entry.occurred_at or entry.observed_at),
        "zone": words["zone"].get(basis, basis),
        "recorded": _when(entry.recorded_at),
        "type": entry.type + (f" · ERDS {entry.erds}" if entry.erds else ""),
        "title": event_type(language, entry.type),
        "recipient": "" if about is None else plain(addresses.get(about) or label["number"].format(number=about)),
        "source": _source(entry, words),
        "words": plain(" · ".join(dict.fromkeys(w for w in _provider_words(entry) if w))),
        "follows": ": ".join(part for part in follows if part),
        "occurred_as": plain(entry.values.get("occurred", "")),
        "values": values,
        "withheld": label["withheld_fields"].format(count=len(entry.withheld)) if entry.withheld else "",
        "is_long": sum(len(value) for _, value in values) > MAX_CHARACTERS,
    }


def _provider_words(entry: TrailEntry) -> list[str]:
    """The provider's code and reason, from the tables or, when they know them not, from the sealed values."""
    return [str(word) for name in ("code", "reason") for word in (getattr(entry, name), entry.values.get(name, ""))]


def _source(entry: TrailEntry, words: Texts) -> str:
    """Who said it, by which way, and whether its authenticity was checked."""
    if not entry.arrival:
        return words["label"]["ledger_itself"]
    teller = f"{entry.provider} ({entry.account})" if entry.provider else words["label"]["organisation"]
    ways = (words[table].get(name, name) for table, name in (("arrival", entry.arrival), ("verdict", entry.verdict)))
    return plain(", ".join([teller, *(way for way in ways if way)]))


def _values(entry: TrailEntry, label: dict[str, str]) -> list[tuple[str, str]]:
    """Everything else that the event says and the reader may see: (name, value) lines, at most MAX_LINES of them."""
    said = [
        _line(path, value, label)
        for path, value in sorted(entry.values.items(), key=_by_number)
        if not path.startswith(_SAID_ELSEWHERE) and path not in _OWN_LINE
    ]
    cut = [("", f"… [+{len(said) - MAX_LINES}]")] if len(said) > MAX_LINES else []
    return [(plain(name), plain(value)) for name, value in said[:MAX_LINES]] + cut


def _by_number(item: tuple[str, Any]) -> tuple[str, int]:
    name, _, number = item[0].partition(".")
    return name, int(number) if number.isascii() and number.isdigit() else 0


def _line(path: str, value: Any, label: dict[str, str]) -> tuple[str, Any]:
    """A value with a name for people, where there is one; else under its path."""
    name = label.get(path.partition(".")[0], path)
    match value:
        case {"kind": kind, "value": shown}:
            return f"{name} ({kind})", shown
        case {"kind": _, "address": shown}:
            return name, shown
        case _:
            return name, value


def _document(document: dict[str, Any]) -> dict[str, Any]:
    digests = [(k, plain(v)) for k, v in document.items() if k.startswith("sha")]
    return {"name": plain(document.get("name", "")), "digests": digests}


def _original(original: Original, words: Texts) -> dict[str, Any]:
    label, why = words["label"], original.withheld
    role = words["role"].get(original.role, original.role)
    size = label["size"].format(count=original.body_bytes) if original.body_bytes >= 0 else ""
    left_out = label["left_out"].format(reason=words["withheld"].get(why, why)) if why else ""
    parts = (f"events/{original.entry:04}.json", role, original.media_type, size, left_out)
    return {
        "name": plain(original.path or label["no_file"]),
        "about": " · ".join(plain(p) for p in parts if p),
        "sha256": plain(original.sha256),
    }


def _commands(verify: dict[str, str]) -> list[tuple[str, str]]:
    return [(verify[name], command) for name, command in COMMANDS.items()]


COMMANDS = {
    "digests": "sha256sum -c SHA256SUMS",
    "log": "python3 verify.py --log-key KEY",
    "seal": (
        "openssl cms -verify -cades -binary -inform DER -in META-INF/signature001.p7s \\\n"
        "  -content META-INF/ASiCManifest001.xml -CAfile ROOT.pem -purpose any -out /dev/null"
    ),
    "pdf": "pdfsig report.pdf",
}
