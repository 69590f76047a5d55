"""What a pack proves and what it does not, as sentences that follow from its story. Technical statements, never legal ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adapters.evidence.story import Story
from adapters.evidence.texts import Texts, plain
from ledger.observations import ArrivalKind, Verdict
from projections.views import TrailEntry


def _verdicts(entries: Iterable[TrailEntry], verdict: Verdict) -> int:
    return sum(1 for entry in entries if entry.verdict == verdict)


def proven(story: Story, words: Texts) -> list[str]:
    """The claims that the pack supports, once checked."""
    head, entries = story.checkpoint, story.entries
    held = [original for original in story.originals if original.path]
    stamps = sum(1 for entry in entries if entry.type == "evidence.timestamped")
    claims: Sequence[tuple[str, object]] = (
        ("included", entries),
        ("unchanged", entries),
        ("complete", entries),
        ("originals", held),
        ("documents", story.message.documents),
        ("authenticated", _verdicts(entries, Verdict.VERIFIED)),
        ("timestamped", stamps),
    )
    counts = {"originals": len(held), "authenticated": _verdicts(entries, Verdict.VERIFIED), "timestamped": stamps}
    facts = {"events": len(entries), "origin": plain(head.origin), "size": head.size}
    return [words["proven"][name].format(count=counts.get(name), **facts) for name, holds in claims if holds]


def unproven(story: Story, words: Texts) -> list[str]:
    """What a reader might take for proven and is not."""
    entries = story.entries
    counts = {
        "unsigned": _verdicts(entries, Verdict.UNSIGNED),
        "imported": sum(1 for entry in entries if entry.arrival == ArrivalKind.IMPORT),
        "withheld": sum(len(entry.withheld) for entry in entries),
    }
    claims: Sequence[tuple[str, object]] = (
        ("operator", True),
        ("truth", True),
        ("unsigned", counts["unsigned"]),
        ("imported", counts["imported"]),
        ("shared_secret", any(e.verdict == Verdict.VERIFIED and e.arrival == ArrivalKind.WEBHOOK for e in entries)),
        ("before", True),
        ("afterwards", True),
        ("clocks", not any(e.type == "evidence.timestamped" for e in entries)),
        ("reading", any(d.status == "delivered" for d in story.message.deliveries)),
        ("documents_unknown", not story.message.documents),
        ("withheld", counts["withheld"]),
        ("seal", True),
    )
    return [words["unproven"][name].format(count=counts.get(name)) for name, holds in claims if holds]
