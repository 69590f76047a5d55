"""Facets: which of the few combinations of account, status, grade and marks a delivery has, so that any filter on them is an index range.

A ledger with a million deliveries has some hundred facets. A search picks the facets that its filters fit and merges their ranges
(`projections.searching`), so rare combinations cost as little as frequent ones.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NamedTuple

import msgspec

from projections.deadlines import State
from projections.fold import Folded
from projections.rules import Status

MARK_TEXTS: dict[str, str] = {
    "open": "no final status yet",
    "final": "the status is final",
    "disputed": "final facts contradict each other",
    "late": "something awaited came after its deadline",
    "deadline.warned": "a deadline is near, and what is awaited is not there",
    "deadline.passed": "a deadline is over, and what is awaited is not there",
    "deadline.met_late": "what was awaited came after its deadline",
    "missing": "evidence that could be had is not here",
    "signature.wrong": "a signature on an original proves wrong",
    "signature.absent": "an original that should be signed is not",
    "content.differs": "a receipt carries or quotes another content than was sent",
    "unattributed": "something was said that could not be attributed to a recipient",
    "unmapped": "the provider used a word that no table knows",
    "dispatch_unclear": "a call of ours may or may not have been taken",
    "clock.contradicts": "the provider's clocks disagree",
    "protected": "the identity of the recipient is protected",
}
"""Mark -> what it says of a delivery. Every mark that `marks` gives is here."""
PROTECTED = "protected"

_DEADLINES = {
    State.WARNED: "deadline.warned",
    State.PASSED: "deadline.passed",
    State.MET_LATE: "deadline.met_late",
}
_NOT_PROVEN = {"signature_wrong": "signature.wrong", "signature_absent": "signature.absent"}
_RULES = {"attribution.none": "unattributed", "attribution.other_recipient": "unattributed", "unmapped": "unmapped"}


class Facet(NamedTuple):
    """What a filter can ask of a delivery besides its names and its time.

    Attributes:
        marks: sorted, separated and surrounded by spaces, so that ` late ` can be looked for.
    """

    tenant: str
    provider: str
    account: str
    status: str
    grade: str
    marks: str

    def number(self) -> int:
        """Its number: always the same, so that a rebuild gives the same rows."""
        return _number(self)


@lru_cache(4_096)
def _number(facet: Facet) -> int:
    digest = hashlib.sha256(msgspec.json.encode(tuple(facet))).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def marks(folded: Folded, *, is_protected: bool = False) -> tuple[str, ...]:
    """What is worth finding about a delivery, sorted."""
    found = {"final" if folded.is_final else "open"} | ({PROTECTED} if is_protected else set())
    found |= {flag for flag in folded.flags if flag in MARK_TEXTS}
    found |= {_DEADLINES[d.state] for d in folded.deadlines if d.state in _DEADLINES}
    found |= {mark for doubt, mark in _NOT_PROVEN.items() if doubt in folded.evidence.not_proven}
    found |= {_RULES[reason.rule] for reason in folded.reasons if reason.rule in _RULES}
    found |= {"missing"} if folded.evidence.missing else set()
    found |= {"disputed"} if folded.status == Status.DISPUTED else set()
    found |= {"dispatch_unclear"} if folded.sub_status == "dispatch_unclear" else set()
    found |= {"content.differs"} if any(r.rule == "content.contradiction" for r in folded.reasons) else set()
    return tuple(sorted(found))


@lru_cache(4_096)
def marks_text(found: tuple[str, ...]) -> str:
    """Marks, in any order, as they stand in a facet."""
    return f" {' '.join(sorted(found))} "
