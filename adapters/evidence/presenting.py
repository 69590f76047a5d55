"""From a draft to what people read: fills the report's story, and seals the pack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from adapters.evidence import report, seal
from adapters.evidence.originals import Original
from adapters.evidence.pack import Draft, Finish
from adapters.evidence.report import Story
from adapters.evidence.seal import Sealer, Timestamper
from adapters.evidence.trail import Trail
from adapters.evidence.verify import MANIFEST, SEAL
from ledger.events import message_of
from projections.queries import entry_of, told
from projections.views import AddressView, DeliveryView, MessageView, TrailEntry

SHOWS_NOTHING_MORE = frozenset({"shown", "agrees"})


def finish(
    sealer: Sealer,
    token: Callable[[str], bytes] = lambda _: b"",
    timestamper: Timestamper | None = None,
    tsa_roots: bytes = b"",
) -> Finish:
    """Report, seal and copies of roots for packs.

    Args:
        token: as `Finish.token`.
        timestamper: for the signatures of the report and the seal (B-T).
        tsa_roots: PEM of the roots under which tokens are checked.
    """

    def sealed(members: Mapping[str, bytes]) -> dict[str, bytes]:
        from adapters.evidence import signing  # noqa: PLC0415  see there

        manifest = seal.manifest(members)
        return {MANIFEST: manifest, SEAL: signing.sign(manifest, sealer, timestamper)}

    def reported(draft: Draft) -> bytes:
        from adapters.evidence import signing  # noqa: PLC0415  as above

        return signing.sign_pdf(report.render(story(draft), draft.ask.language), sealer, timestamper)

    return Finish(
        template=report.TEMPLATE,
        report=reported,
        seal=sealed,
        trust={"seal-root.pem": sealer.root_pem()} | ({"tsa-root.pem": tsa_roots} if tsa_roots else {}),
        worth=sealer.warning,
        token=token,
    )


def story(draft: Draft) -> Story:
    """What the report tells: what is shown in the pack and nothing else."""
    values = {position: {path: each.value for path, each in said.items()} for position, said in draft.shown.items()}
    judged = _judged(draft.trail)
    entries = [entry_of(e, values.get(e.position, {}), judged.get(e.id, ("", ""))) for e in draft.events]
    return Story(
        message=_message(draft, values),
        entries=tuple(_renumbered(entry, draft.trail) for entry in entries),
        originals=tuple(_original(draft, original) for original in draft.originals),
        checkpoint=draft.head.checkpoint,
        log_keys=draft.keys,
        generated_at=str(draft.events[-1].fields["recorded_at"]),
        recipients_withheld=draft.trail.declared - len(draft.trail.recipients),
    )


def _judged(trail: Trail) -> dict[str, tuple[str, str]]:
    """What the fold made of each event: of several deliveries the strongest effect."""
    judged: dict[str, tuple[str, str]] = {}
    for reason in (r for folded in trail.folded.values() for r in folded.reasons):
        if judged.get(reason.event_id, ("", "shown"))[1] in SHOWS_NOTHING_MORE:
            judged[reason.event_id] = (reason.rule, reason.effect)
    return judged


def _renumbered(entry: TrailEntry, trail: Trail) -> TrailEntry:
    """With the recipient's index in the message that tells the story."""
    if entry.recipient is None:
        return entry
    return msgspec.structs.replace(entry, recipient=trail.persons.get((message_of(entry.stream), entry.recipient)))


def _original(draft: Draft, original: Original) -> report.Original:
    position = original.event.position
    entry = int(draft.numbers[position])
    if original.withheld:
        return report.Original(path="", entry=entry, role=original.role, media_type="", withheld=original.withheld)
    value = draft.shown[position][original.path].value
    return report.Original(
        path=draft.path(original),
        entry=entry,
        role=original.role,
        media_type=value["media_type"],
        sha256=value["sha256"],
        body_bytes=value["bytes"],
    )


def _message(draft: Draft, values: dict[int, dict[str, object]]) -> MessageView:
    trail = draft.trail
    own = [event for event in draft.events if message_of(event.stream) == trail.message]
    said = told([event for event in draft.events if event.type != "recipients.declared"], values)
    source = {
        name: next((str(e.fields[name]) for e in own if name in e.fields), "") for name in ("account", "provider")
    }
    types = [event.type for event in own if event.type != "recipients.declared"]
    deliveries = tuple(_deliveries(draft, values, source, str(own[0].fields["recorded_at"])))
    return MessageView(
        message=trail.message,
        tenant=draft.ask.tenant,
        account=source["account"],
        provider=source["provider"],
        opened_at=str(own[0].fields["recorded_at"]),
        registered="submission.requested" in types,
        inbound=types[:1] == ["inbound.received"] and not trail.declared,
        recipients=trail.declared,
        batches=tuple(s for s in trail.streams if s.startswith("batch/")),
        values=said["values"],
        references=said["references"],
        labels=said["labels"],
        documents=said["documents"],
        joined=tuple(s for s in trail.streams if message_of(s) == s and s != trail.message and "/" not in s),
        joined_into="",
        statuses=dict(Counter(d.status for d in deliveries)),
        notes=tuple(sorted({n for e in own for n in e.fields.get("notes", ())})),
        deliveries=deliveries,
        position=draft.head.checkpoint.size,
    )


def _deliveries(
    draft: Draft, values: dict[int, dict[str, object]], source: dict[str, str], opened_at: str
) -> list[DeliveryView]:
    addresses = _addresses(draft, values)
    return [
        DeliveryView(
            message=draft.trail.message,
            recipient=index,
            address=addresses.get(index, AddressView()),
            account=source["account"],
            provider=source["provider"],
            status=folded.status,
            sub_status=folded.sub_status,
            since=folded.since,
            is_final=folded.is_final,
            opened_at=opened_at,
            position=draft.head.checkpoint.size,
            rules=folded.rules,
            milestones=folded.milestones,
            reasons=folded.reasons,
            flags=folded.flags,
            evidence=folded.evidence,
            deadlines=folded.deadlines,
        )
        for index, folded in draft.trail.folded.items()
    ]


def _addresses(draft: Draft, values: dict[int, dict[str, object]]) -> dict[int, AddressView]:
    """Index -> address as declared, where it is shown."""
    found: dict[int, AddressView] = {}
    for event in draft.events:
        for path, value in values.get(event.position, {}).items():
            word, _, number = path.partition(".")
            if word == "recipient" and number and isinstance(value, dict):
                index = draft.trail.persons.get((event.stream, int(number)))
                if index is not None:
                    found.setdefault(index, AddressView(value["kind"], value["address"]))
    return found
