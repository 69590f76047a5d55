"""How answers look to people: tables and plain sentences.

Everything that came from outside is printed without markup or control characters.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters.accounts import AccountCheck
from adapters.apikeys import ApiKey
from adapters.importing import Report
from adapters.providers.describe import ProviderView
from adapters.quarantine import Quarantined
from ledger.fsck import MEANINGS, Verdict
from ledger.observations import ZoneBasis
from ledger.types import TYPES
from projections.deadlines import Deadline, State
from projections.grades import GRADE_TEXTS, MISSING_TEXTS, NOT_PROVEN_TEXTS, PROVEN_TEXTS, Evidence
from projections.queries import UNKNOWN_EVENT
from projections.rules import RULE_TEXTS
from projections.runner import Rebuilt
from projections.views import DeliveryView, LaneItem, MessageView, Page, Trail

MESSAGES_SHOWN = 20
PROBLEMS_SHOWN = 20
COLOURS = {
    "delivered": "green",
    "accepted_by_recipient": "green",
    "failed": "red",
    "refused": "red",
    "expired": "red",
    "cancelled": "red",
    "disputed": "magenta",
    "delayed": "yellow",
    "unknown": "yellow",
}
DEADLINE_TEXTS = {
    State.OPEN: "awaited; a warning at {warn_at}, over at {breach_at}",
    State.WARNED: "awaited and overdue since {warn_at}; over at {breach_at}",
    State.PASSED: "over since {breach_at}, and what was awaited is not there",
    State.MET: "met in time, before {breach_at}",
    State.MET_LATE: "met, but after {breach_at}",
    State.VOID: "nothing is awaited any more",
}
ZONE_TEXTS: dict[str, str] = {
    ZoneBasis.STATED: "the provider says the zone",
    ZoneBasis.EPOCH: "a count of seconds, which needs no zone",
    ZoneBasis.DOCUMENTED: "the zone is in the provider's documentation",
    ZoneBasis.ASSUMED: "nobody says the zone; taken as UTC",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def plain(value: object) -> Text:
    """Text from outside, harmless to a terminal."""
    return Text(_CONTROL.sub("·", str(value)))


def when(text: str) -> str:
    """A stored time for people: UTC to the second."""
    return f"{text[:10]} {text[11:19]}Z" if len(text) > 19 else text


def _meaning(kind: str) -> str:
    """What an event of a type says, for people."""
    return TYPES[kind].meaning if kind in TYPES else UNKNOWN_EVENT


def _status(status: str) -> Text:
    return Text(status, style=COLOURS.get(status, ""))


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(*columns, box=box.SIMPLE, title=title, title_justify="left", pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
        column.no_wrap = column.header in {"message", "item", "quarantined"}  # ids are copied whole
    return table


def _deciding(delivery: DeliveryView) -> str:
    deciding = [r for r in delivery.reasons if r.effect == "decides"]
    return ", ".join(dict.fromkeys(f"{r.type} ({r.rule})" for r in deciding))


def _evidence(out: Console, evidence: Evidence) -> None:
    """The grade in words, what is proven and what is not, and what is still missing."""
    out.print(f"  evidence {evidence.grade}: {GRADE_TEXTS[evidence.grade]}")
    for said, tokens, words in (
        ("proven", evidence.proven, PROVEN_TEXTS),
        ("not proven", evidence.not_proven, NOT_PROVEN_TEXTS),
    ):
        for token in tokens:
            out.print(f"    {said}: {words[token]}")
    for missing in evidence.missing:
        until = f", to be fetched by {when(missing.until)}" if missing.until else ""
        out.print(f"    missing: {MISSING_TEXTS[missing.what]}{until}")


def _terms(deadline: Deadline) -> dict[str, str]:
    return {"warn_at": when(deadline.warn_at), "breach_at": when(deadline.breach_at)}


def message(out: Console, view: MessageView) -> None:
    """One message: what is held of it, its deliveries, and the reasons."""
    out.print(Text(f"Message {view.message}", style="bold"))
    if view.joined_into:
        out.print("  (the id you gave was joined into this one)")
    facts = {
        "provider": f"{view.provider}, account {view.account}",
        "first heard of": when(view.opened_at),
        "sender's own declaration": "yes" if view.registered else "no; known from receipts only",
        **view.values,
        **{f"reference {r['kind']}": r["value"] for r in view.references},
        "labels": ", ".join(view.labels),
        "documents": ", ".join(f"{d.get('name', '')} {d.get('sha256', '')}".strip() for d in view.documents),
        "joined": ", ".join(view.joined),
        "noted": ", ".join(view.notes),
        "inbound": "something that arrived for us; it has no recipients of ours" if view.inbound else "",
    }
    for name, value in facts.items():
        if value:
            out.print(Text(f"  {name}: ").append(plain(value)))
    for delivery in view.deliveries:
        out.print()
        out.print(Text(f"Recipient {delivery.recipient}: ").append(plain(delivery.address.address or "(erased)")))
        line = Text("  ").append(_status(delivery.status))
        line.append(f" ({delivery.sub_status})" if delivery.sub_status else "")
        line.append(f" since {when(delivery.since)}" if delivery.since else "").append(
            "" if delivery.is_final else ", not final"
        )
        out.print(line)
        for reason in delivery.reasons:
            said = " ".join(dict.fromkeys(w for w in (reason.code, reason.reason) if w))
            word = plain(f" ({said})" if said else "")
            text = Text(f"  {when(reason.at)}  {_meaning(reason.type)}").append(word)
            out.print(text.append(f" — {reason.effect}: {RULE_TEXTS.get(reason.rule, reason.rule)}", style="dim"))
        for flag in delivery.flags:
            out.print(f"  note: {RULE_TEXTS.get(flag, flag)}")
        _evidence(out, delivery.evidence)
        for deadline in delivery.deadlines:
            out.print(f"  deadline {deadline.name}: {DEADLINE_TEXTS[deadline.state].format(**_terms(deadline))}")
        for each in delivery.downtimes:
            until = f"until {when(each.until)}" if each.until else "and goes on"
            out.print(f"  provider down: from {when(each.since)} {until} ({each.rule.removeprefix('downtime.')})")
    if view.recipients > len(view.deliveries):
        out.print(f"\n{view.recipients} recipients in all: {', '.join(f'{n} {s}' for s, n in view.statuses.items())}")


def trail(out: Console, found: Trail) -> None:
    """A trail, an event a paragraph."""
    for entry in found.entries:
        head = Text(f"{entry.position:>6}  {entry.type}", style="bold")
        head.append(f"  recipient {entry.recipient}" if entry.recipient is not None else "", style="")
        out.print(head)
        out.print(f"        {entry.meaning}" + (f" (ERDS {entry.erds})" if entry.erds else ""))
        zone = ZONE_TEXTS.get(entry.zone, entry.zone)
        clock = f"occurred {when(entry.occurred_at)} ({zone})  " if entry.occurred_at else ""
        out.print(f"        {clock}observed {when(entry.observed_at)}  recorded {when(entry.recorded_at)}")
        source = " ".join(w for w in (entry.provider, entry.account, entry.arrival, entry.verdict) if w)
        words = " ".join(w for w in (entry.code, entry.reason) if w)
        out.print(Text(f"        from {source or 'the ledger'}" + (", said " if words else "")).append(plain(words)))
        for path, value in entry.values.items():
            shown = value.get("sha256", value) if path.startswith("artifact.") else value
            out.print(Text(f"        {path}: ").append(plain(shown)))
        if entry.rule:
            out.print(f"        {entry.effect or 'rule'}: {RULE_TEXTS.get(entry.rule, entry.rule)}")
        if entry.notes:
            out.print(f"        noted: {', '.join(entry.notes)}")
        for artifact in entry.artifacts:
            out.print(f"        original {artifact}")
        out.print(Text(f"        leaf {entry.leaf_hash}", style="dim"))
    out.print(f"{len(found.entries)} events; tree of {found.tree_size} leaves, root {found.root}")


def page(out: Console, found: Page) -> None:
    """A page of deliveries."""
    if not found.deliveries:
        out.print("Nothing fits. (search without a filter lists everything)")
        return
    table = _table("message", "#", "recipient", "provider", "status", "grade", "why", "since")
    for d in found.deliveries:
        row = (d.message, str(d.recipient), plain(d.address.address or "(erased)"), d.provider, _status(d.status))
        table.add_row(*row, d.evidence.grade, plain(d.sub_status), when(d.since))
    out.print(table)
    if found.next:
        out.print(f"More: add --cursor {found.next}")


def board(out: Console, deliveries: Sequence[DeliveryView]) -> None:
    """Deliveries with status and grade, and what the strongest evidence among them proves."""
    shown = _table("recipient", "status", "grade", "why", "decided by", "missing")
    for d in deliveries:
        missing = ", ".join(MISSING_TEXTS[m.what] for m in d.evidence.missing)
        proof = (_status(d.status), d.evidence.grade, plain(d.sub_status), _deciding(d), missing)
        shown.add_row(plain(d.address.address), *proof)
    out.print(shown)
    best = max(deliveries, key=lambda d: d.evidence.grade, default=None)
    if best is not None:
        out.print(Text("  of ").append(plain(best.address.address)))
        _evidence(out, best.evidence)


def demo(
    out: Console,
    deliveries: Sequence[DeliveryView],
    found: Report,
    waiting: Sequence[LaneItem],
    held: Sequence[Quarantined],
) -> None:
    """A day's deliveries with the reason for each status, and what waits."""
    shown = _table("provider", "recipient", "status", "grade", "why", "decided by", title="A day of five providers")
    for d in sorted(deliveries, key=lambda d: (d.provider, d.status, d.address.address)):
        proof = (_status(d.status), d.evidence.grade, plain(d.sub_status), _deciding(d))
        shown.add_row(d.provider, plain(d.address.address), *proof)
    out.print(shown)
    out.print(
        f"{found.files} files, {found.new + found.seen} inputs: {found.new} new, {found.seen} said nothing new; {found.facts} facts, "
        f"{found.copies} further originals, {found.registered} past sends, {len(deliveries)} deliveries"
    )
    for problem in found.problems:
        out.print(Text("problem: ", style="red").append(plain(problem)))
    lanes(out, waiting, held)


def report(found: Report) -> dict[str, Any]:
    """An import report for programs; stable order."""
    values = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
    return {**values, "messages": sorted(found.messages)}


def import_report(out: Console, found: Report, views: Sequence[MessageView]) -> None:
    """What an import did, with the messages it concerned."""
    out.print(
        f"{found.files} files: {found.new} new, {found.seen} seen before; {found.facts} facts, "
        f"{found.copies} further originals of known facts"
    )
    if found.new == 0 and not found.problems:
        out.print("Nothing changed: all of it was held already.")
    for count, text in (
        (found.registered, "past sends registered"),
        (found.unmatched, "unmatched; see: delivery-ledger lanes list"),
        (found.unreadable, "unreadable; see: delivery-ledger lanes list"),
        (
            found.quarantined,
            "webhooks whose signature does not verify; add the key: delivery-ledger accounts rotate ACCOUNT --key-id ID --secret-file FILE",
        ),
        (len(found.skipped), f"files of another kind left alone: {', '.join(Path(s).name for s in found.skipped[:5])}"),
    ):
        if count:
            out.print(plain(f"{count} {text}"))
    for problem in found.problems[:PROBLEMS_SHOWN]:
        out.print(Text("problem: ", style="red").append(plain(problem)))
    if len(found.problems) > PROBLEMS_SHOWN:
        out.print(f"… and {len(found.problems) - PROBLEMS_SHOWN} more problems (--json lists all)")
    if found.messages:
        out.print(
            f"{len(found.messages)} messages"
            + (f", the first {len(views)}:" if len(views) < len(found.messages) else ":")
        )
    for view in views:
        out.print()
        message(out, view)


def verdict(out: Console, found: Verdict, unapplied: Sequence[tuple[str, int, str]]) -> None:
    """What fsck found."""
    for problem in found.problems:
        out.print(Text("WRONG: ", style="red").append(plain(str(problem))))
    for model, position, why in unapplied:
        out.print(plain(f"read model {model} could not apply position {position}: {why}"))
    for kind in dict.fromkeys(problem.kind for problem in found.problems):
        out.print(plain(f"What that means ({kind}): {MEANINGS[kind]}."))
    if found.first is not None:
        where = f"position {found.first.position}" if found.first.position else "no single event"
        out.print(plain(f"The first that is wrong: {where}."))
        return
    out.print(f"Clean: {found.size} events hash to root {found.root}, and {found.heads} heads agree.")
    out.print(
        f"{found.signed_heads} signed heads, {found.values} values and {found.artifacts} originals agree with what was committed to."
    )
    if found.left_behind:
        out.print(f"{found.left_behind} signed heads of an earlier epoch cover events that were lost.")


def rebuilt(out: Console, found: Sequence[Rebuilt]) -> None:
    """What a rebuild found."""
    for each in found:
        differing = sum(each.differences.values())
        told = (
            "equal to the live ones"
            if not differing
            else f"{differing} rows differed from the live ones and were replaced"
        )
        out.print(f"{each.model}: {each.events} events applied, tables {told}")


def digest_of(document: str) -> str:
    """A digest as given, or the SHA-256 of the file of that name; the document itself goes nowhere."""
    path = Path(document)
    if document and path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return document


def providers(out: Console, found: Sequence[ProviderView]) -> None:
    """The providers, a line each."""
    table = _table("name", "title", "channel", "signs", "used operations")
    for p in found:
        used = ", ".join(o.name for o in p.operations if o.use == "used")
        table.add_row(p.name, p.title, p.channel, ", ".join(p.signed_operations) or "no", used)
    out.print(table)
    out.print("One in full: delivery-ledger providers show NAME")


def new_key(out: Console, record: ApiKey, key: str) -> None:
    out.print(
        f"API key {record.api_key_id} for {record.tenant}, may: {', '.join(record.scopes)}, until {when(record.expires_at)}."
    )
    out.print("It is shown this once:")
    out.print(Text(key, style="bold"))


def table(out: Console, rows: Sequence[Any], nothing: str) -> None:
    """Any list of dataclasses."""
    if not rows:
        out.print(nothing[:1].upper() + nothing[1:])
        return
    names = [f.name for f in dataclasses.fields(rows[0])]
    shown = _table(*names)
    for row in rows:
        cells = (getattr(row, name) for name in names)
        shown.add_row(
            *(plain(" ".join(c) if isinstance(c, tuple) else when(c) if isinstance(c, str) else c) for c in cells)
        )
    out.print(shown)


def account_check(out: Console, found: AccountCheck) -> None:
    out.print(f"{found.account} at {found.provider}{', closed' if found.is_disabled else ''}")
    out.print(f"  webhook keys in use: {', '.join(found.keys) or 'none'}")
    for kind, at in found.last.items():
        out.print(f"  last {kind}: {when(at)}")
    if found.behind_ms is not None:
        out.print(f"  provider's time to our arrival at the last webhook: {found.behind_ms} ms")
    for operation, url in found.webhook_urls.items():
        out.print(f"  webhook URL for {operation}: {url}")
    for line in found.advice:
        out.print(f"  {line}")


def lanes(out: Console, items: Sequence[LaneItem], held: Sequence[Quarantined]) -> None:
    """What waits for a person."""
    if not items and not held:
        out.print("Nothing waits.")
    if items:
        shown = _table("item", "lane", "account", "since", "why", title="Waiting for a person")
        for i in items:
            why = i.why if i.state == "open" else f"{i.state}: {i.why}"
            shown.add_row(i.item, i.lane, i.account, when(i.opened_at), plain(why))
        out.print(shown)
    if held:
        shown = _table(
            "quarantined", "account", "received", "bytes", "why", title="Webhooks that did not verify (beside the log)"
        )
        for q in held:
            shown.add_row(q.quarantine_id, q.account, when(q.received_at), str(q.body_bytes), plain(q.why))
        out.print(shown)


def lane_item(out: Console, item: LaneItem, body: bytes) -> None:
    """One waiting item and the beginning of its bytes."""
    lanes(out, [item], [])
    out.print(f"{len(body)} bytes, beginning:")
    for line in body[:2000].decode("utf-8", "backslashreplace").splitlines():
        out.print(plain(line))
