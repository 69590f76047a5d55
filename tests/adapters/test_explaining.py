"""A paragraph for people: every status has one in every language, it says no more than is proven, and nothing in it is left open."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.explaining.explanation import explain
from adapters.explaining.sentences import paragraph, sentences
from adapters.explaining.words import LANGUAGES, words
from adapters.providers import registry
from adapters.strictjson import InvalidError
from ledger.contents import DIFFERS, MATCHES
from ledger.placing import CONTRADICTS
from projections.deadlines import Deadline, State
from projections.downtimes import DETECTED, ENTERED, Downtime
from projections.facts import Fact
from projections.fold import fold
from projections.grades import ABSENT, GOOD, WRONG, Missing
from projections.rules import EFFECTS, UNCERTIFIED, Status
from projections.views import AddressView, DeliveryView, Known
from tests.adapters.explaining_golden import CHOSEN, golden
from tests.projections.facts import clock, fact
from tests.stories import stories as telling
from tests.stories.stories import Story
from tests.world import world

UTC, ROME = ZoneInfo("UTC"), ZoneInfo("Europe/Rome")
SAID = (
    "head",
    "says",
    "reason",
    "strength",
    "also",
    "doubt",
    "deadline",
    "missing",
    "note",
    "downtime",
    "known",
    "zone",
)
"""The tables whose texts are sentences."""
PROVIDERS = {provider.channel: provider.name for provider in registry().values()} | {"": "gone"}
"""A provider of each channel, and one that is no longer there."""


def view(provider: str, *facts: Fact, sole: bool = True, **more: object) -> DeliveryView:
    """A delivery as its facts make it."""
    known = registry().get(provider)
    folded = fold(facts, sole=sole, channel=known.channel if known else "")
    made = DeliveryView(
        message="01a1fd8e-f93d-70a6-8da5-105f5469bc25",
        recipient=0,
        address=AddressView("email", "anna@example.org"),
        account="main",
        provider=provider,
        status=folded.status,
        sub_status=folded.sub_status,
        since=folded.since,
        is_final=folded.is_final,
        opened_at=clock("8:00"),
        position=9,
        rules=folded.rules,
        milestones=folded.milestones,
        reasons=folded.reasons,
        flags=folded.flags,
        evidence=folded.evidence,
        deadlines=folded.deadlines,
    )
    return replace(made, **more)


def downtime(since: str, until: str = "", rule: str = ENTERED) -> Downtime:
    at = clock(until) if until else ""
    state = "ended" if until else "open"
    return Downtime("d", "main", "kpn_sms", clock(since), at, rule, state, ("d",), (1,))


def checked(rule: str) -> tuple[Fact, ...]:
    """A delivery receipt whose signature was judged."""
    return (
        fact("a", "submission.accepted", "9:00"),
        fact("c", "content.consigned", "9:05"),
        fact("v", "evidence.verified", rule=rule, events=("c",)),
    )


def ordinary() -> Iterator[DeliveryView]:
    """Every type that sets a status, through a provider of every channel, with and without a time, code and address."""
    for kind, effect in EFFECTS.items():
        for provider in PROVIDERS.values():
            if effect.status:
                yield view(provider, fact("f", kind, "9:05", code="code-7"))
                yield view(provider, fact("f", kind, seen="9:05"), address=AddressView())
                yield view(provider, fact("f", kind, "9:05", arrival="import"))


ERASED = fact("x", "evidence.erased", seen="11:00", rule="erasure.recipient")


def special() -> Iterator[DeliveryView]:
    """What needs several facts, or more than facts."""
    accepted, consigned = fact("a", "submission.accepted", "9:00"), fact("c", "content.consigned", "9:05")
    failed = fact("f", "content.consignment_failed", "9:06")
    yield view("kpn_sms")
    yield view("kpn_sms", fact("u", "channel.unmapped", "9:00", code="WORD"))
    yield view("kpn_sms", fact("u", "channel.unmapped", "9:00"))
    yield view("kpn_sms", accepted, fact("u", "channel.unmapped", "9:01"))
    yield view("kpn_sms", accepted, consigned, failed)
    yield view("kpn_sms", accepted, consigned, failed, fact("s", "dispute.resolved", "9:30", events=("f",)))
    yield view("kpn_sms", accepted, consigned, fact("s", "provider.corrected", "9:30", events=("c",)))
    yield view("kpn_sms", fact("c", "content.consigned", "9:05"), fact("d", "relay.failed", "9:06", rival="c"))
    yield view("kpn_sms", fact("e", "relay.failed", "9:00"), consigned)
    yield view("kpn_sms", fact("p", "content.consigned", "9:05", part=(1, 2)))
    yield view("kpn_sms", accepted, fact("m", "content.consigned", scope="message", about="recipient"), sole=False)
    yield view("kpn_sms", accepted, fact("c", "content.consigned", "8:00"))
    yield view("pec_mailbox", fact("f", "content.consignment_failed", "9:05", notes=(UNCERTIFIED,)))
    yield view("pec_mailbox", accepted, consigned, fact("v", "evidence.verified", rule=DIFFERS, events=("c",)))
    yield view("pec_mailbox", accepted, consigned, fact("v", "evidence.verified", rule=MATCHES, events=("c",)))
    yield from (view("pec_mailbox", *checked(rule)) for rule in (GOOD, WRONG, ABSENT))
    yield view("kpn_registered_email", accepted, consigned, fact("o", "content.accessed", "9:10"))
    took, who = fact("t", "consignment.accepted", "9:05"), fact("i", "recipient.identified", "9:05")
    yield view("kpn_registered_email", took, who)
    yield view("kpn_registered_email", took, who, fact("v", "evidence.verified", rule=GOOD, events=("t", "i")))
    yield view("pec_mailbox", accepted, fact("c", "content.consigned", "40:00"), downtimes=(downtime("10:00"),))
    for state in State:
        yield view("kpn_sms", accepted, deadlines=(Deadline("delivery_report", clock("10:00"), clock("12:00"), state),))
    missing = replace(view("pec_mailbox", accepted).evidence, missing=(Missing("signed_original", clock("50:00")),))
    yield view("pec_mailbox", accepted, evidence=missing)
    yield view("pec_mailbox", *checked(GOOD), ERASED)
    known = Known(4, clock("9:00"), "", clock("8:30"), "then", (), (), (), differ=False, vocabularies=())
    yield view("kpn_sms", known=known)
    for rule in (ENTERED, DETECTED):
        yield view("kpn_sms", accepted, downtimes=(downtime("9:00", "10:00", rule), downtime("11:00", "", rule)))
    yield view("kpn_sms", accepted, downtimes=tuple(downtime(f"{hour}:00", f"{hour}:30") for hour in range(9, 15)))


VIEWS = [*ordinary(), *special()]


def test_every_status_is_among_the_cases() -> None:
    """A new status, or a new type that sets one, cannot come without a text."""
    assert set(Status) == {each.status for each in VIEWS}


@pytest.mark.parametrize("language", LANGUAGES)
def test_when_it_was_erased_is_said_once_and_no_receipt_is_said_to_be_held(language: str) -> None:
    """A signed receipt that we had counts as the provider's statement, and the day of the erasure stands there."""
    said = list(sentences(view("pec_mailbox", *checked(GOOD), ERASED), language, UTC))
    assert [("missing", "erased")] == [(s.table, s.name) for s in said if s.table == "missing"]
    assert [("strength", "E3")] == [(s.table, s.name) for s in said if s.table == "strength"]
    assert "11:00" in paragraph(view("pec_mailbox", *checked(GOOD), ERASED), language, UTC).replace("11.00", "11:00")


NAMED = tuple("abcde")


@st.composite
def histories(draw: st.DrawFn) -> list[Fact]:
    """Facts nobody would think of: of any type, naming each other, of parts, scopes and rules that hardly go together."""
    rules = ("", GOOD, WRONG, ABSENT, MATCHES, DIFFERS, "dispute.withdrawn", "deadline.delivery_report")
    return [
        fact(
            name,
            draw(st.sampled_from(sorted(EFFECTS))),
            draw(st.sampled_from(("", "9:00", "9:05", "80:00"))),
            code=draw(st.sampled_from(("", "code {7}"))),
            scope=draw(st.sampled_from(("recipient", "message", "batch"))),
            part=draw(st.sampled_from(((), (1, 2), (2, 2)))),
            rule=draw(st.sampled_from(rules)),
            events=tuple(draw(st.lists(st.sampled_from(NAMED), max_size=2, unique=True))),
            notes=draw(st.sampled_from(((), (UNCERTIFIED,), (CONTRADICTS,)))),
            arrival=draw(st.sampled_from(("webhook", "import", ""))),
        )
        for name in NAMED[: draw(st.integers(0, len(NAMED)))]
    ]


@given(histories(), st.sampled_from(sorted(PROVIDERS.values())), st.booleans())
def test_any_history_has_a_paragraph(facts: list[Fact], provider: str, sole: bool) -> None:  # noqa: FBT001
    """Whatever was said, in whatever order: whole sentences, one of which says where it is, the same ones in each language."""
    each = view(provider, *facts, sole=sole)
    said = [[(s.table, s.name) for s in sentences(each, language, UTC)] for language in LANGUAGES]
    assert [said[0]] * len(LANGUAGES) == said
    assert 1 == sum(table == "head" for table, _ in said[0])
    for language in LANGUAGES:
        text = paragraph(each, language, ROME).replace("code {7}", "")
        assert not re.search(r"[{}]|None", text)
        assert text.endswith(".")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_case_has_whole_sentences_in_every_language(language: str) -> None:
    """No placeholder is left, nothing is empty or doubled, each sentence begins with a capital letter and ends."""
    for each in VIEWS:
        text = paragraph(each, language, ROME)
        assert not re.search(r"[{}]|\s\s|\(\)|\.\.|None", text), text
        assert text[0].isupper() or not text[0].isalpha()
        assert text.endswith(".")
        assert re.findall(r"\. [a-zà-ÿ]", text.replace(" kl. ", " ")) == [], text


def test_a_case_says_the_same_sentences_in_every_language() -> None:
    """Which sentences are said does not depend on the language."""
    for each in VIEWS:
        said = {tuple((s.table, s.name) for s in sentences(each, language, UTC)) for language in LANGUAGES}
        assert 1 == len(said)


def test_every_language_has_the_same_words_with_the_same_braces_and_as_many_sentences() -> None:
    """None is missing in one language, and none tells more there than in another."""
    assert {tuple(words("en"))} == {tuple(words(language)) for language in LANGUAGES}
    for table, texts in words("en").items():
        for language in LANGUAGES:
            assert texts.keys() == words(language)[table].keys(), (language, table)
            for name, text in texts.items():
                other = words(language)[table][name]
                assert braces(text) == braces(other), (language, table, name)
                assert ends(text) == ends(other), (language, table, name)
                assert bool(text.strip()) == bool(other.strip()), (language, table, name)


def braces(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def ends(text: str) -> int:
    """How many sentences a text has; the full stops within Swedish and Dutch times are none."""
    return len(re.findall(r"\.(?= |$)", text.replace("kl. ", "")))


def test_every_sentence_is_said_of_some_case_and_none_is_without_words() -> None:
    """No word is unused, and none that is used is missing."""
    said = {(s.table, s.name) for each in VIEWS for s in sentences(each, "en", UTC)}
    said |= {(s.table, s.name) for s in sentences(VIEWS[0], "en", ROME)}
    assert {(table, name) for table in SAID for name in words("en")[table]} == said


def test_what_is_not_proven_to_have_arrived_is_only_reported() -> None:
    """A weak report begins as one, and says what it does not prove."""
    for each in VIEWS:
        heads = [s.name for s in sentences(each, "en", UTC) if s.table == "head"]
        assert 1 == len(heads)
        if each.status == Status.DELIVERED and "reached" in each.evidence.not_proven:
            assert heads[0] in {"reported", "reported_certified_email", "delivered_sms", "delivered_fax", "fetched"}


def test_a_signature_is_called_valid_only_where_it_was_checked() -> None:
    """E4 and E5 alone."""
    for each in VIEWS:
        assert ("is valid" in paragraph(each, "en", UTC)) is (
            each.evidence.grade >= "E4" and each.status != Status.DISPUTED
        )


# --- single rules


def test_times_are_those_of_the_zone_and_the_zone_is_said() -> None:
    """UTC if nobody asked for another."""
    each = view("kpn_sms", fact("c", "content.consigned", "9:05"))
    assert "2 March 2026 at 09:05" in paragraph(each, "en", UTC)
    assert paragraph(each, "en", UTC).endswith("All times are in Coordinated Universal Time (UTC).")
    assert "2 marzo 2026 alle ore 10:05" in paragraph(each, "it", ROME)
    assert paragraph(each, "it", ROME).endswith("Tutti gli orari sono espressi nell'ora locale del fuso Europe/Rome.")


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-10-25T00:30:00.000000Z", "25 October 2026 at 02:30 (UTC+02:00)"),
        ("2026-10-25T01:30:00.000000Z", "25 October 2026 at 02:30 (UTC+01:00)"),
        ("2026-10-25T02:30:00.000000Z", "25 October 2026 at 03:30"),
        ("9999-12-31T23:59:59.999999Z", "31 December 9999 at 23:59 (UTC)"),
    ],
)
def test_an_hour_that_comes_twice_is_told_apart(at: str, expected: str) -> None:
    """By its offset; what no calendar of the zone holds is said in UTC."""
    each = view("kpn_sms", fact("c", "content.consigned", "9:05"), since=at)
    assert f"on {expected} to" in paragraph(each, "en", ROME)


def test_an_address_that_is_erased_is_said_to_be_not_held() -> None:
    """The recipient is then known by number only."""
    each = view("kpn_sms", fact("c", "content.consigned", "9:05"), address=AddressView(), recipient=4)
    assert "to a recipient whose address is not held here (number 4)" in paragraph(each, "en", UTC)


def test_an_address_cannot_disguise_what_stands_beside_it() -> None:
    """One line, no control or direction characters, braces as they came, cut at a length."""
    address = AddressView("postal", "Anna {item}\r\nVia Roma 1\u202e\n\n" + "x" * 500)
    text = paragraph(view("ekopost", fact("c", "content.consigned", "9:05"), address=address), "en", UTC)
    assert "to Anna {item}, Via Roma 1, xxx" in text
    assert "\u202e" not in text
    assert "x…" in text


def test_a_text_message_through_a_post_office_is_called_one() -> None:
    """The channel that a delivery took, not the provider's."""
    phone = AddressView("phone", "+46701740605")
    text = paragraph(view("ekopost", fact("c", "content.consigned", "9:05"), address=phone), "en", UTC)
    assert text.startswith("The text message to +46701740605 was reported as delivered")


def test_an_answer_as_of_then_says_of_when_it_is() -> None:
    """So that nobody takes it for today's."""
    known = Known(4, clock("9:30"), clock("10:00"), clock("9:15"), "then", (), (), (), differ=False, vocabularies=())
    text = paragraph(view("kpn_sms", fact("c", "content.consigned", "9:05"), known=known), "en", UTC)
    assert "This is how it stood in our records on 2 March 2026 at 10:00." in text
    assert "What happened after 2 March 2026 at 09:15 is left out." in text


def test_a_settlement_that_was_withdrawn_is_not_told() -> None:
    """What it set aside counts again, and a person must look again; until it is settled anew."""
    facts = [
        fact("c", "content.consigned", "9:05"),
        fact("f", "content.consignment_failed", "9:06"),
        fact("s", "dispute.resolved", "9:30", seen="9:30", rule="dispute.settled", events=("f",)),
        fact("w", "dispute.resolved", "9:40", seen="9:40", rule="dispute.withdrawn", events=("s",)),
        fact("t", "dispute.resolved", "9:50", seen="9:50", rule="dispute.settled", events=("f",)),
    ]
    settled = "An earlier contradiction was examined and settled by a member of staff."
    for known, expected in ((2, False), (3, True), (4, False), (5, True)):
        each = view("kpn_sms", *facts[:known])
        assert expected is (settled in paragraph(each, "en", UTC)), known
        assert expected is (each.status != Status.DISPUTED), known


def test_a_downtime_explains_only_what_came_late() -> None:
    """It is shown beside every delivery that it touches, and called a reason for a delay only where there is one."""
    late = Deadline("delivery_report", clock("10:00"), clock("12:00"), State.MET_LATE)
    accepted, down = fact("a", "submission.accepted", "9:00"), (downtime("11:00", "13:00"),)
    for deadlines, told in (((late,), True), ((replace(late, state=State.MET),), False)):
        text = paragraph(view("kpn_sms", accepted, deadlines=deadlines, downtimes=down), "en", UTC)
        assert "from 2 March 2026 at 11:00 to 2 March 2026 at 13:00" in text
        assert told is ("This may be the reason for the delay." in text)
    after = view("kpn_sms", accepted, deadlines=(late,), downtimes=(downtime("13:00", "14:00"),))
    assert "reason for the delay" not in paragraph(after, "en", UTC)


def test_steps_are_told_in_the_language_that_was_asked_for() -> None:
    """Types, rules and effects in the words of the report."""
    found = explain(view("kpn_sms", fact("c", "content.consigned", "9:05")), "sv", "Europe/Stockholm")
    assert ("sv", "Europe/Stockholm") == (found.language, found.zone)
    assert [("Avgör status", "en slutgiltig positiv uppgift avgör")] == [
        (f.effect_text, f.rule_text) for f in found.facts
    ]


@pytest.mark.parametrize("zone", ["", "Europe/Atlantis", "../../etc/passwd", "/etc/passwd", "Europe", "\0", "x" * 64])
def test_a_zone_that_there_is_not_is_refused(zone: str) -> None:
    """Also one that is a path."""
    with pytest.raises(InvalidError, match="zone: not the name of a time zone"):
        explain(VIEWS[0], "en", zone)


def test_a_language_that_there_is_not_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(InvalidError, match="language: there are en, it, nl, sv"):
        explain(VIEWS[0], "de")


# --- the stories


@pytest.mark.parametrize("story", telling.params(s for s in telling.stories() if s.name in CHOSEN))
def test_story_is_explained_as_written(story: Story, tmp_path: Path) -> None:
    """In all four languages, Italian in the time of Rome; the files were read by people, and nothing here writes them."""
    with world(f"sqlite:///{tmp_path}/ledger.db", tmp_path) as opened:
        found = telling.begin(opened, story)
        telling.register(found, story)
        telling.admit(found, story.repeated)
        views = found.deliveries()
    for language in LANGUAGES:
        zone = ROME if language == "it" else UTC
        assert golden(language, story.name) == told(views, language, zone)


def told(views: Iterable[DeliveryView], language: str, zone: ZoneInfo) -> list[str]:
    return sorted(paragraph(each, language, zone) for each in views)
