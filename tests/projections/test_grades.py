"""Evidence grades, rule by rule: given facts, then how strong the evidence is, what it proves, what it does not, and what is missing."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest

from ledger.contents import DIFFERS, MATCHES
from ledger.observations import ArrivalKind
from ledger.types import TYPES
from projections.facts import Fact
from projections.fold import fold
from projections.grades import (
    AWAITED,
    BASE,
    CEILING,
    CLAIMS,
    GRADE_3,
    GRADE_TEXTS,
    MISSING_TEXTS,
    NOT_PROVEN_TEXTS,
    OTHER_CHANNEL,
    PROVEN_TEXTS,
    RULES,
    Evidence,
    Grade,
)
from projections.rulesets import CURRENT, OLDEST
from tests.projections.facts import fact

CHANNELS = {"certified_email", "registered_email", "post", "sms", "fax"}


class Case(NamedTuple):
    """Facts of one delivery and the evidence that they are; lists of tokens stand as words with spaces between."""

    rule: str
    channel: str
    facts: tuple[Fact, ...]
    grade: str
    proven: str
    not_proven: str
    missing: str = ""


def verdict(rule: str, *names: str) -> Fact:
    return fact(f"{rule} {names}", "evidence.verified", seen="10:01", events=names, rule=rule)


def by(arrival: str, known: Fact, **said: Any) -> Fact:
    return msgspec.structs.replace(known, arrival=arrival, **said)


ASKED = fact("asked", "submission.requested", "8:00", scope="message", arrival="api")
TAKEN = fact("taken", "submission.accepted", "8:01", scope="message")
QUEUED = fact("queued", "relay.delayed", "8:02")
GONE = fact("gone", "relay.accepted", "8:02")
ARRIVED = fact("arrived", "content.consigned", "9:00")
SIGNED_FOR = fact("signed for", "consignment.accepted", "9:30")
KNOWN = fact("known", "recipient.identified", "9:29")
GOOD_SO_FAR = fact("so far", "evidence.verified", seen="10:01", events=("arrived",), rule="attest.good")

ERASED = fact("erased", "evidence.erased", seen="10:02", rule="erasure.recipient")

CASES = (
    Case(
        *("of what was erased no signed original can be shown any more", "certified_email"),
        (TAKEN, by("mailbox", ARRIVED), verdict("attest.good", "arrived"), ERASED),
        *("E3", "accepted reached", "read signed content", "erased"),
    ),
    Case(
        *("what proved less proves as much as before", "sms", (TAKEN, GONE, ERASED)),
        *("E2", "accepted handed_on", "reached signed", "erased delivery_report"),
    ),
    Case("nothing is known, nothing is proven", "sms", (ASKED,), "E0", "", "reached"),
    Case(
        *("a provider that took it proves that it took it", "sms", (ASKED, TAKEN)),
        *("E1", "accepted", "reached signed", "delivery_report"),
    ),
    Case(
        *("a network that took it is a report", "sms", (TAKEN, GONE)),
        *("E2", "accepted handed_on", "reached signed", "delivery_report"),
    ),
    Case(
        *("a delivery report of a text message is a report", "sms", (TAKEN, ARRIVED)),
        *("E2", "accepted reported", "reached read signed content"),
    ),
    Case(
        *("so is another fax machine's confirmation", "fax", (by("poll", ARRIVED),)),
        *("E2", "accepted reported", "reached read signed content"),
    ),
    Case(
        *("a fax whose receipt was given was received by somebody", "fax"),
        (ARRIVED, fact("receipt", "acknowledgement.received", "9:40")),
        *("E3", "accepted reported acted", "reached identity signed content"),
    ),
    Case(
        *("a fax that is on its way lacks its report", "fax", (TAKEN,)),
        *("E1", "accepted", "reached signed", "transmission_report"),
    ),
    Case(
        *("a registered letter that was delivered is the carrier's word", "post", (by("poll", ARRIVED),)),
        *("E3", "accepted reached", "read signed content"),
    ),
    Case(
        *("a post office's text message is none", "post", (by("poll", ARRIVED, operation="sms"),)),
        *("E2", "accepted reported", "reached read signed content"),
    ),
    Case(
        *("of a letter nothing more is ever said", "post", (by("poll", GONE),)),
        *("E2", "accepted handed_on", "reached signed"),
    ),
    Case(
        *("a registered message that was only announced lacks a statement", "registered_email"),
        (fact("told", "notice.issued", "8:30", arrival="poll"),),
        *("E2", "accepted", "reached signed", "delivery_statement"),
    ),
    Case(
        *("a message that was opened was read", "registered_email"),
        (ARRIVED, fact("opened", "content.accessed", "9:10")),
        *("E3", "accepted reached opened", "signed content"),
    ),
    Case(
        *("a refusal is weighed as a delivery is", "post", (fact("no", "consignment.rejected", "9:00"),)),
        *("E3", "accepted acted", "identity signed"),
    ),
    Case(
        *("so is a failure", "sms", (TAKEN, fact("no", "content.consignment_failed", "9:00"))),
        *("E2", "accepted not_delivered", "signed"),
    ),
    Case(
        *("a certified delivery known from a text is the provider's word", "certified_email"),
        (by("poll", TAKEN), by("poll", ARRIVED)),
        *("E3", "accepted reached", "read signed content", "signed_original"),
    ),
    Case(
        *("a receipt whose signature holds is a third party's", "certified_email"),
        (TAKEN, by("mailbox", ARRIVED), verdict("attest.good", "arrived")),
        *("E4", "accepted reached signed", "read content"),
    ),
    Case(
        *("wherever it came from", "certified_email"),
        (by("import", ARRIVED), verdict("attest.good", "arrived")),
        *("E4", "accepted reached signed", "read content"),
    ),
    Case(
        *("a signed acceptance does not lift an unsigned delivery", "certified_email"),
        (TAKEN, ARRIVED, verdict("attest.good", "taken")),
        *("E3", "accepted reached", "read signed content", "signed_original"),
    ),
    Case(
        *("a signed acceptance is the best evidence of an acceptance", "certified_email"),
        (by("mailbox", TAKEN), verdict("attest.good", "taken")),
        *("E4", "accepted signed", "reached", "delivery_receipt"),
    ),
    Case(
        *("the signed receipt of the same delivery lifts the text", "certified_email"),
        (by("poll", ARRIVED), fact("receipt", "content.consigned", "9:01"), verdict("attest.good", "receipt")),
        *("E4", "accepted reached signed", "read content"),
    ),
    Case(
        *("history that others hand to us is a report at most", "certified_email", (by("import", ARRIVED),)),
        *("E2", "accepted reported", "reached read signed content witnessed", "signed_original"),
    ),
    Case(
        *("what the sender's own system says it was told, too", "registered_email", (by("api", ARRIVED),)),
        *("E2", "accepted reported", "reached read signed content witnessed"),
    ),
    Case(
        *("seen arriving once is witnessed, whoever else told of it", "registered_email"),
        (
            fact("history", "content.consigned", seen="9:00", arrival="import"),
            fact("live", "content.consigned", seen="9:30", arrival="webhook"),
        ),
        *("E3", "accepted reached", "read signed content"),
    ),
    Case(
        *("a receipt that should be signed and is not proves nothing", "certified_email"),
        (by("mailbox", ARRIVED), verdict("attest.absent", "arrived")),
        *("E0", "", "reached read content signature_absent", "signed_original"),
    ),
    Case(
        *("a receipt whose signature is wrong proves nothing", "certified_email"),
        (by("mailbox", ARRIVED), verdict("attest.wrong", "arrived"), verdict("attest.absent", "arrived")),
        *("E0", "", "reached read content signature_wrong", "signed_original"),
    ),
    Case(
        *("one good original is enough", "certified_email"),
        (ARRIVED, verdict("attest.good", "arrived"), verdict("attest.wrong", "arrived")),
        *("E4", "accepted reached signed", "read content"),
    ),
    Case(
        *("a later verdict on the same original takes the place of the earlier", "certified_email"),
        (by("mailbox", ARRIVED), GOOD_SO_FAR, verdict("attest.wrong", "arrived", GOOD_SO_FAR.event_id)),
        *("E0", "", "reached read content signature_wrong", "signed_original"),
    ),
    Case(
        *("and says nothing against another original", "certified_email"),
        (
            *(by("mailbox", ARRIVED), GOOD_SO_FAR, verdict("attest.good", "arrived")),
            verdict("attest.wrong", "arrived", GOOD_SO_FAR.event_id),
        ),
        *("E4", "accepted reached signed", "read content"),
    ),
    Case(
        *("a final notice is the provider's statement", "certified_email"),
        (TAKEN, by("mailbox", fact("lapse", "relay.failed", "32:00"))),
        *("E3", "accepted not_delivered", "signed", "signed_original"),
    ),
    Case(
        *("nobody waits for a receipt from outside certified mail", "certified_email"),
        (TAKEN, fact("left", "nonerds.relayed", "8:01")),
        *("E1", "accepted", "reached signed", "signed_original"),
    ),
    Case(
        *("a recipient who acted and was identified in signed originals", "registered_email"),
        (SIGNED_FOR, KNOWN, verdict("attest.good", "signed for", "known")),
        *("E5", "accepted reached acted identified signed", "content"),
    ),
    Case(
        *("identified in words only is not identified by a third party", "registered_email"),
        (SIGNED_FOR, KNOWN, verdict("attest.good", "signed for")),
        *("E4", "accepted reached acted identified signed", "identity content"),
    ),
    Case(
        *("the stronger status is weighed by its own facts", "registered_email"),
        (SIGNED_FOR, ARRIVED, verdict("attest.good", "arrived")),
        *("E3", "accepted reached acted", "identity signed content"),
    ),
    Case(
        *("a contradiction proves no outcome", "certified_email"),
        (TAKEN, ARRIVED, fact("no", "content.consignment_failed", "9:05"), verdict("attest.good", "arrived", "taken")),
        *("E1", "accepted", "outcome reached signed"),
    ),
    Case(
        *("content that is not what was sent is a contradiction", "certified_email"),
        (ARRIVED, verdict(DIFFERS, "arrived")),
        *("E1", "accepted", "outcome reached signed"),
    ),
    Case(
        *("of contradicting statements one must hold", "post", (ARRIVED, fact("no", "consignment.rejected", "9:05"))),
        *("E1", "accepted", "outcome reached signed"),
    ),
    Case(
        *("what was refused, says one of them, was perhaps never taken", "post"),
        (ARRIVED, fact("no", "submission.rejected", "9:05")),
        *("E1", "", "outcome reached signed"),
    ),
    Case(
        *("statements whose originals prove wrong contradict each other and prove nothing", "certified_email"),
        (ARRIVED, fact("no", "consignment.rejected", "9:05"), verdict("attest.wrong", "arrived", "no")),
        *("E0", "", "outcome reached"),
    ),
    Case(
        *("a text message in the provider's own queue is with the provider", "sms", (TAKEN, QUEUED)),
        *("E1", "accepted", "reached signed", "delivery_report"),
    ),
    Case(
        *("so is a fax that waits to be dialled", "fax", (TAKEN, QUEUED)),
        *("E1", "accepted", "reached signed", "transmission_report"),
    ),
    Case(
        *("a carrier's delay is the carrier's report", "post", (TAKEN, QUEUED)),
        *("E2", "accepted", "reached signed"),
    ),
    Case(
        *("content that is what was sent is proven", "certified_email"),
        (ARRIVED, verdict(MATCHES, "arrived", "asked"), verdict("attest.good", "arrived")),
        *("E4", "accepted reached signed content", "read"),
    ),
    Case(
        *("a lapse that is overruled claims nothing", "sms", (fact("lapse", "relay.failed", "8:50"), ARRIVED)),
        *("E2", "accepted reported", "reached read signed content"),
    ),
    Case(
        *("a fact that was taken back is not weighed", "sms"),
        (TAKEN, ARRIVED, fact("sorry", "provider.corrected", "9:10", events=("arrived",))),
        *("E1", "accepted", "reached signed", "delivery_report"),
    ),
    Case(
        *("some parts are not the message", "sms", (fact("one", "content.consigned", "9:00", part=(1, 2)),)),
        *("E2", "accepted handed_on", "reached signed", "delivery_report"),
    ),
    Case(
        *("a withdrawal is the provider's word about itself", "post", (fact("off", "submission.cancelled", "8:30"),)),
        *("E1", "", "signed"),
    ),
)


def evidence(case: Case) -> Evidence:
    return fold(case.facts, sole=False, channel=case.channel).evidence


@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_given_facts_then_evidence(case: Case) -> None:
    """The grade, and what is proven, not proven and missing, are those of the rule."""
    found = evidence(case)
    assert case.grade == found.grade
    assert case.proven.split() == list(found.proven)
    assert case.not_proven.split() == list(found.not_proven)
    assert case.missing.split() == [missing.what for missing in found.missing]
    assert RULES == found.rules


@pytest.mark.parametrize(
    ("channel", "facts", "then", "now"),
    [
        ("certified_email", (by("mailbox", ARRIVED), verdict("attest.good", "arrived"), ERASED), "E4", "E3"),
        ("sms", (TAKEN, QUEUED), "E2", "E1"),
        ("fax", (QUEUED,), "E2", "E1"),
        ("post", (QUEUED,), "E2", "E2"),
        ("post", (ARRIVED, fact("no", "consignment.rejected", "9:05")), "E0", "E1"),
    ],
)
def test_answers_of_then_can_be_given_again(channel: str, facts: tuple[Fact, ...], then: str, now: str) -> None:
    """The first table still grades as it did, and an answer names the table that it was graded by."""
    found = [fold(facts, sole=False, channel=channel, rules=rules).evidence for rules in (OLDEST, CURRENT)]
    assert [(then, "grade/1"), (now, "grade/3")] == [(each.grade, each.rules) for each in found]


def test_every_word_is_reached_and_has_a_text() -> None:
    """A claim that no case reaches is not known to work, and one without a text says nothing to people."""
    found = [evidence(case) for case in CASES]
    assert set(PROVEN_TEXTS) == {claim for each in found for claim in each.proven}
    assert set(NOT_PROVEN_TEXTS) == {doubt for each in found for doubt in each.not_proven}
    assert set(MISSING_TEXTS) == {missing.what for each in found for missing in each.missing}
    assert list(GRADE_TEXTS) == list(Grade) == sorted({each.grade for each in found})


def test_tables_speak_of_what_exists() -> None:
    """A misspelt type, channel or way of arrival would never be weighed."""
    assert set() == {
        *BASE,
        *(kind for _, kind in GRADE_3.by_channel),
        *(k for _, kinds, _ in CLAIMS for k in kinds),
    } - set(TYPES)
    assert set() == {*AWAITED, *OTHER_CHANNEL.values(), *(channel for channel, _ in GRADE_3.by_channel)} - CHANNELS
    assert set(ArrivalKind) == set(CEILING)
    assert all(kind in BASE for _, kinds, _ in CLAIMS for kind in kinds)


def test_nothing_unsigned_rises_above_the_providers_word() -> None:
    """However it came, and whatever was said: without a checked signature the grade is E3 at most."""
    assert Grade.E3 == max((*BASE.values(), *GRADE_3.by_channel.values()))
    assert Grade.E3 == max(CEILING.values())
