"""KPN Registered E-mail: the status document row by row, its times, hashes and secrets."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from datetime import UTC, datetime
from xml.sax.saxutils import quoteattr

import pytest

from adapters.providers.kpn_registered_email import PROVIDER, wire
from adapters.providers.kpn_registered_email.statuses import DESCRIPTION, STATUS
from ledger.observations import Address, Arrival, ArrivalKind, Observation, UnreadableError, ZoneBasis
from tests.providers import samples

TOKEN = "K.QZ7t-x"  # a ticket of the samples
REMINDER = "Herinnering aangetekende mail verstuurd"


def arrival(body: bytes, operation: str = "biljet", status: int | None = 200, request: bytes | None = None) -> Arrival:
    return Arrival(
        provider="kpn_registered_email",
        account="a",
        operation=operation,
        kind=ArrivalKind.POLL,
        observed_at=datetime(2026, 7, 24, 6, tzinfo=UTC),
        body=body,
        status=status,
        request=request,
    )


def element(name: str, inner: str = "", **attributes: str) -> str:
    written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{written}>{inner}</{name}>"


def biljet(*rows: str, **attributes: str) -> tuple[Observation, ...]:
    ticket = element("biljet", "".join(rows), **{"id": "K.1", "ontvanger": "p.proef@post.example", **attributes})
    return wire.parse(arrival(element("biljetten", ticket).encode()))


def status(**changes: str) -> str:
    row = {
        "statuscode": "95",
        "statusomschrijving": REMINDER,
        "statusdatumtijd": "2026-07-23 10:00:07",
        "statusdetail": " ",
    }
    return element("status", **(row | changes))


def test_only_the_attested_code_is_mapped() -> None:
    """No numeric code is invented: the table grows when a real document shows one; what is read from wording says that it is assumed."""
    assert ["95"] == [row.word for row in STATUS]
    assert {"A"} == {row.source for row in DESCRIPTION}


@pytest.mark.parametrize(
    "code", ["1", "10", "94", "96", "095", "9 5", "100", "Geaccepteerd", "\N{FULLWIDTH DIGIT NINE}5"]
)
def test_unknown_code_is_kept_with_its_words(code: str) -> None:
    """Code, description and detail of a row that nobody knows stand in the texts as they came."""
    (seen,) = biljet(status(statuscode=code, statusomschrijving="Geaccepteerd", statusdetail="door de ontvanger"))
    assert ("channel.unmapped", "") == (seen.type, seen.code)
    assert {"code": code, "text": "Geaccepteerd", "detail": "door de ontvanger"} == seen.texts


def test_description_speaks_where_the_code_does_not() -> None:
    """The attested description means the same without its code, and the table says that this is assumed."""
    (bare,) = biljet(status(statuscode=""))
    (other,) = biljet(status(statuscode="1095"))
    assert ["notice.issued"] * 2 == [bare.type, other.type]
    assert "1095" == other.texts["code"]


def test_each_row_of_the_history_is_a_fact_whichever_poll_brought_it() -> None:
    """A later document repeats the earlier rows; only what was added is new."""
    first = biljet(status(statuscode="10"))
    later = biljet(status(statuscode="10"), status(), status(statusdatumtijd="2026-07-26 10:00:07"))
    assert first[0].identity == later[0].identity
    assert 3 == len({seen.identity for seen in later})


def test_language_of_the_description_does_not_make_a_new_fact() -> None:
    """The same row asked for in another language is the same row, as long as it has a code."""
    (dutch,) = biljet(status())
    (english,) = biljet(status(statusomschrijving="Reminder sent"), taal="en")
    assert dutch.identity == english.identity


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-07-23 10:00:07", datetime(2026, 7, 23, 10, 0, 7, tzinfo=UTC)),
        ("2026-01-23T10:00:07", datetime(2026, 1, 23, 10, 0, 7, tzinfo=UTC)),
        (" 2026-03-29 02:30:00 ", datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
    ],
)
def test_time_without_zone_is_greenwich_in_summer_and_winter(written: str, expected: datetime) -> None:
    """The product's documentation says GMT, so an hour that Dutch clocks skip exists."""
    (seen,) = biljet(status(statusdatumtijd=written))
    assert seen.occurred is not None
    assert (expected, written, ZoneBasis.DOCUMENTED) == seen.occurred


@pytest.mark.parametrize("written", ["23-07-2026 10:00", "2026-02-30 10:00:00", "0000-00-00 00:00:00", "nu"])
def test_time_that_cannot_be_read_is_kept_as_text(written: str) -> None:
    """No time is made up."""
    (seen,) = biljet(status(statusdatumtijd=written))
    assert seen.occurred is None
    assert ("time_unreadable",) == seen.notes
    assert written == seen.texts["time"]


def test_rows_without_time_are_objects_that_do_not_change() -> None:
    """Two rows without a time are not one state that alternates from poll to poll."""
    seen = biljet(status(statusdatumtijd=""), status(statuscode="10", statusdatumtijd=""))
    assert 2 == len({one.identity[:-1] for one in seen})


def test_missing_time_is_no_unreadable_time() -> None:
    """A row without a time has none, and nothing is noted."""
    (seen,) = biljet(element("status", statuscode="95"))
    assert (None, ()) == (seen.occurred, seen.notes)


def test_hash_is_the_digest_of_the_document_that_was_sent() -> None:
    """The provider's base64 hash and our own fingerprint of the sent attachment agree."""
    content = b"Artikel 1. Opzegging.\n"
    quoted = base64.b64encode(hashlib.sha256(content).digest()).decode()
    (seen,) = biljet(element("bijlage", bijlage="a.txt", hash=quoted), status())
    request = {"attachments": [{"attachment": base64.b64encode(content).decode(), "attachment_name": "a.txt"}]}
    answer = arrival(b'{"ticket_token": "K.1"}', "send", 200, json.dumps(request).encode())
    (sent,) = wire.parse(answer)
    assert [d.sha256 for d in sent.documents] == [d.sha256 for d in seen.documents]


@pytest.mark.parametrize(
    "quoted", ["", "AAAA", "not base64!", "A" * 44, "é", base64.b64encode(b"x" * 20).decode(), "A" * 10_000]
)
def test_hash_of_another_kind_is_no_digest(quoted: str) -> None:
    """What is not the base64 form of 32 bytes proves nothing about the document."""
    (seen,) = biljet(element("bijlage", bijlage="a.txt", hash=quoted), status())
    assert () == seen.documents
    assert ("hash_unreadable",) == seen.notes


def test_two_accepted_attachments_are_two_facts_of_two_objects() -> None:
    """Without times, states of one object follow each other; two attachments must not seem one that changes."""
    rows = [element("bijlage", bijlage=name, geaccepteerd="1", hash="A" * 43 + "=") for name in ("a.txt", "b.txt")]
    seen = biljet(*rows)
    assert ["content.accessed", "content.accessed", "consignment.accepted"] == [one.type for one in seen]
    assert 3 == len({one.identity[:-1] for one in seen})
    assert [None] * 3 == [one.occurred for one in seen]


def attachment(said: str, name: str = "a.txt") -> str:
    return element("bijlage", bijlage=name, geaccepteerd=said, hash="A" * 43 + "=")


@pytest.mark.parametrize(
    ("rows", "attributes", "accepted"),
    [
        ([attachment("1"), attachment("1", "b.txt")], {}, 1),
        ([attachment("1"), attachment("0", "b.txt")], {}, 0),
        ([attachment("1"), attachment("ja", "b.txt")], {}, 0),
        ([attachment("1")], {"handtekening_nodig": "1"}, 0),
        ([attachment("1"), status(statuscode="", statusomschrijving="Aangetekende mail geaccepteerd")], {}, 1),
        ([status()], {}, 0),
    ],
    ids=["all", "one", "unknown", "to_sign", "said", "nothing"],
)
def test_all_attachments_accepted_is_one_acceptance(rows: list[str], attributes: dict[str, str], accepted: int) -> None:
    """Of every one, and not while the recipient has yet to sign; where a row says it, only the row does."""
    assert accepted == [one.type for one in biljet(*rows, **attributes)].count("consignment.accepted")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Aangetekende mail geaccepteerd", "content.accessed"),
        ("Aangetekende mail ondertekend", "document.signing_completed"),
        ("Ondertekening aangetekende mail geweigerd", "document.signature_declined"),
        ("Aangetekende mail geweigerd", "consignment.rejected"),
    ],
)
def test_who_must_sign_has_not_accepted_before_that(words: str, expected: str) -> None:
    """Taking the mail is a step then: the end is the signature, or that it was declined."""
    (seen,) = biljet(status(statuscode="", statusomschrijving=words), handtekening_nodig="1")
    assert (expected, words) == (seen.type, seen.code)


@pytest.mark.parametrize("words", ["AANGETEKENDE MAIL  GEWEIGERD", " aangetekende\tmail geweigerd "])
def test_description_is_read_whatever_its_case_and_spaces(words: str) -> None:
    """And nothing else is forgiven."""
    (seen,) = biljet(status(statuscode="", statusomschrijving=words))
    (other,) = biljet(status(statuscode="", statusomschrijving=f"{words}?"))
    assert ["consignment.rejected", "channel.unmapped"] == [seen.type, other.type]


@pytest.mark.parametrize("said", ["0", "", " "])
def test_attachment_that_is_not_accepted_is_no_fact(said: str) -> None:
    """That nothing has happened yet is not written down at every poll."""
    assert () == biljet(element("bijlage", bijlage="a.txt", geaccepteerd=said))


def test_ticket_to_which_nothing_happened_gives_nothing() -> None:
    """A poll that says nothing new gives no observation, and so does an empty list."""
    assert () == biljet()
    assert () == wire.parse(arrival(b"<biljetten/>"))


def test_everything_in_a_ticket_is_about_its_one_recipient() -> None:
    """One recipient per send: each row declares and names that recipient, or none when the document has none."""
    (seen,) = biljet(status())
    (nobody,) = biljet(status(), ontvanger=" ")
    address = Address("email", "p.proef@post.example")
    assert ("recipient", address, (address,)) == (seen.about, seen.recipient, seen.declares)
    assert ("recipient", None, ()) == (nobody.about, nobody.recipient, nobody.declares)


def test_tickets_without_id_do_not_pass_for_one() -> None:
    """A ticket that lacks its id cannot be matched, and is still told from the next one that lacks it."""
    (first,) = biljet(status(), id="", ontvanger="p.proef@post.example")
    (second,) = biljet(status(), id="", ontvanger="q.proef@post.example")
    assert () == first.references == second.references
    assert first.identity != second.identity


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><biljetten><biljet id="&b;"/></biljetten>',
        b'<!DOCTYPE b [<!ENTITY x SYSTEM "file:///etc/passwd">]><biljetten><biljet id="&x;"/></biljetten>',
        b"<html><body>Inloggen</body></html>",
        b'{"error": "x"}',
        b"<biljetten><biljet></biljetten>",
        b'<?xml version="1.0" encoding="no-such-code"?><biljetten/>',
        b"",
    ],
    ids=["entities", "file", "page", "json", "broken", "encoding", "empty"],
)
def test_what_is_no_status_document_is_unreadable(body: bytes) -> None:
    """Pages, other formats and documents that would fetch or grow are left to a person."""
    with pytest.raises(UnreadableError):
        wire.parse(arrival(body))


@pytest.mark.parametrize("http", [204, 302, 401, 403, 404, 429, 500, 503])
def test_answer_that_is_no_success_is_no_status_document(http: int) -> None:
    """What a refused poll carries says nothing of the ticket, even if it looks like one."""
    with pytest.raises(UnreadableError):
        wire.parse(arrival(element("biljetten", element("biljet", status(), id="K.1")).encode(), status=http))


def test_latin_1_document_is_read_as_it_declares() -> None:
    """The encoding that the document names is the one that is used."""
    ticket = element("biljet", status(), id="K.1", onderwerp="Betalingsherinnering één")
    (seen,) = wire.parse(arrival(f'<?xml version="1.0" encoding="ISO-8859-1"?>{ticket}'.encode("latin-1")))
    assert "Betalingsherinnering één" == seen.texts["subject"]


def test_ticket_token_stands_only_where_it_is_sealed_or_hashed() -> None:
    """The token opens the ticket's page: it is in references, texts and identities, and in nothing in the clear."""
    for case in samples.cases():
        if samples.provider_of(case) == "kpn_registered_email":
            try:
                observations = wire.parse(samples.arrival(case))
            except UnreadableError:
                continue
            for seen in observations:
                clear = dataclasses.replace(seen, references=(), texts={}, identity=())
                assert TOKEN not in repr(clear)


def test_bodies_that_carry_the_token_are_secret() -> None:
    """Answer and status document both name the ticket, so neither is exported."""
    secret = {samples.arrival(c).operation for c in samples.cases() if TOKEN.encode() in (c / "body.raw").read_bytes()}
    assert {"send", "biljet", "delivery_mail", "dashboard"} == secret == PROVIDER.secret_bodies


def test_bare_files_are_recognised_by_their_form() -> None:
    """A status document with or without byte order mark, an answer, and neither."""
    assert "biljet" == PROVIDER.recognise("a.xml", b"\xef\xbb\xbf <biljetten/>")
    assert "send" == PROVIDER.recognise("a.json", b'{"ticket_token": "K.1"}')
    assert "delivery_mail" == PROVIDER.recognise("a.eml", b"Subject: x\r\n\r\n?ticket_token=3DK.1-a")
    assert [""] * 4 == [PROVIDER.recognise("a", body) for body in (b"", b"<postacert/>", b"<", b"{}")]
