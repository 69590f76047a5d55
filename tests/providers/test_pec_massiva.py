"""Rules of PEC Massiva beyond the common contract: when something was sent, whose receipt a row is."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.providers.pec_massiva import PROVIDER, statuses
from ledger.observations import Address, Arrival, ArrivalKind, Observation, Reference, UnreadableError
from tests.providers import samples

MINE = [c for suffix in ("", ".words") for c in samples.cases(suffix) if samples.provider_of(c) == "pec_massiva"]
CODE = "2026030210150742"
ROW = {
    "sender": "posta-certificata@pec.example",
    "recipient": "me@pec.example",
    "date": "Mon, 02 Mar 2026 10:15:36 +0100",
    "subject": f"CONSEGNA: Prova {CODE}",
    "body": "",
}
REQUEST = {"recipient": ["a@pec.example", "b@pec.example"], "subject": "Prova"}


def arrival(operation: str, body: bytes, **more: Any) -> Arrival:
    return Arrival(
        provider="pec_massiva",
        account="a",
        operation=operation,
        kind=ArrivalKind.POLL,
        observed_at=datetime(2026, 3, 2, tzinfo=UTC),
        body=body,
        **more,
    )


def answered(answer: object, status: int | None = 201, request: object = REQUEST) -> Observation:
    """What an answer to a send call says."""
    asked = None if request is None else request if isinstance(request, bytes) else json.dumps(request).encode()
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    (seen,) = PROVIDER.parse(arrival("send", body, status=status, request=asked))
    return seen


def rows(*changed: dict[str, Any], name: str = f"/send/{CODE}") -> tuple[Observation, ...]:
    """What rows of the mailbox say, each being ROW with changes."""
    body = json.dumps({"data": [{**ROW, **change} for change in changed], "success": True, "message": ""})
    return PROVIDER.parse(arrival("send_status", body.encode(), status=200, name=name))


# --- POST /send


def test_mailbox_credentials_appear_nowhere() -> None:
    """Even when the caller forgot to remove them, nothing of them is read."""
    request = {**REQUEST, "username": "hush-u", "password": "hush-p", "x-password": "hush-x"}
    for answer, status in (({"success": True, "message_id": CODE}, 201), ({"success": False, "message": "no"}, 401)):
        assert "hush" not in repr(answered(answer, status, request))


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        ({"success": True, "sent": 2, "message_id": CODE}, 201, "submission.accepted"),
        ({"success": True, "sent": 2, "message_id": 2026030210150742}, None, "submission.accepted"),
        ({"success": True, "sent": 2, "message_id": "error occurred connecting to SMTP"}, 201, "dispatch.unclear"),
        ({"success": True, "sent": 2, "message_id": ""}, 201, "dispatch.unclear"),
        ({"success": True, "sent": 2, "message_id": None}, 201, "dispatch.unclear"),
        ({"success": "true", "message_id": CODE}, 201, "dispatch.unclear"),
        ({"success": True, "message_id": CODE}, 500, "dispatch.unclear"),
        ({"success": True, "message_id": CODE}, 401, "dispatch.unclear"),
        ({"success": False, "message_id": CODE, "message": ""}, 400, "submission.rejected"),
        ({"success": False, "message": "Post parameter is not valid"}, 201, "submission.rejected"),
        ({"success": False, "message": "Post parameter is not valid", "sent": 1}, 400, "dispatch.unclear"),
        ({"success": False, "message": "MySQL Error 1205"}, 500, "dispatch.unclear"),
        ({"success": False, "message": "something new"}, 400, "submission.rejected"),
        ({"success": False, "message": "something new"}, None, "dispatch.unclear"),
        ({"success": False, "message": "something new"}, 299, "dispatch.unclear"),
        ({}, 201, "dispatch.unclear"),
        (b"<html>", 504, "dispatch.unclear"),
        (b"<html>", 429, "dispatch.attempted"),
        (b"<html>", 418, "submission.rejected"),
        (b"<html>", 599, "dispatch.unclear"),
        (b"", 302, "dispatch.unclear"),
        (b"\xff", 200, "dispatch.unclear"),
    ],
)
def test_only_success_with_an_id_is_accepted_and_doubt_is_unclear(
    answer: object, status: int | None, kind: str
) -> None:
    """An answer that contradicts itself, or may follow a mail that left, never invites sending again."""
    seen = answered(answer, status)
    assert kind == seen.type
    assert bool(seen.references) == (kind == "submission.accepted")
    assert (Address("email", "a@pec.example"), Address("email", "b@pec.example")) == seen.declares


@pytest.mark.parametrize("row", [*statuses.ERRORS, *statuses.HTTP], ids=lambda row: row.word)
def test_a_failed_call_follows_its_retry_class(row: Any) -> None:
    """`unclear` may have been sent, `never` was refused, all other classes were not sent yet; every row has a class."""
    is_status = row.word[0].isdigit()
    status = int(row.word.replace("xx", "98")) if is_status else None
    seen = answered({"success": False, "message": "" if is_status else row.word}, status)
    types = {"unclear": "dispatch.unclear", "never": "submission.rejected"}
    assert types.get(row.retry, "dispatch.attempted") == seen.type
    assert (row.word, row.reason) == (seen.code, seen.reason)
    assert row.retry


def test_a_sentence_that_only_begins_like_an_error_is_none() -> None:
    """A known word ends where a word ends."""
    seen = answered({"success": False, "message": "MySQL Errors everywhere"}, 400)
    assert ("400", "MySQL Errors everywhere") == (seen.code, seen.texts["error_text"])


def test_the_same_refusal_of_two_calls_is_two_facts() -> None:
    """Refusals have no id, and most are in the same words."""
    refused = b'{"success": false, "message": "Post parameter is not valid"}'
    one = arrival("send", refused, status=400, request=b'{"recipient": "a@pec.example"}')
    later = dataclasses.replace(one, observed_at=datetime(2026, 3, 3, tzinfo=UTC))
    other = dataclasses.replace(one, request=b'{"recipient": "b@pec.example"}')
    assert 3 == len({PROVIDER.parse(each)[0].identity for each in (one, later, other)})


@pytest.mark.parametrize(
    ("sent", "counts", "partial"),
    [
        (2, {"asked": 2, "sent": 2}, False),
        (1, {"asked": 2, "sent": 1}, True),
        (0, {"asked": 2, "sent": 0}, True),
        (None, {"asked": 2}, False),
        (True, {"asked": 2}, False),
        ("2", {"asked": 2}, False),
        (-1, {"asked": 2}, False),
        (10**400, {"asked": 2}, False),
    ],
)
def test_fewer_sent_than_asked_is_unclear(sent: object, counts: dict[str, int], *, partial: bool) -> None:
    """Which addresses were left out is not said, so all stay declared, nobody is accepted, and the id is good."""
    seen = answered({"success": True, "message_id": CODE, "sent": sent})
    assert counts == seen.numbers
    assert ("dispatch.unclear" if partial else "submission.accepted") == seen.type
    assert ("joint_call", *(["partial_send"] if partial else [])) == seen.notes
    assert (2, "message") == (len(seen.declares), seen.about)
    assert (Reference("message_id", CODE),) == seen.references


@pytest.mark.parametrize(
    ("attachments", "digests", "whole"),
    [
        (None, 0, True),
        ({"name": "a", "file": "QQ=="}, 1, True),
        ([{"name": "a", "file": "data:text/plain;charset=x;base64,QQ=="}, {"name": "b", "file": "Qg=="}], 2, True),
        ([{"name": "a", "file": "data:text/plain,A"}], 0, False),
        ([{"name": "a", "file": "Q"}, {"name": "b", "file": "Qg=="}], 1, False),
        ([{"name": "a", "file": None}, "x"], 1, False),
        ("x", 0, False),
    ],
)
def test_attachments_are_fingerprinted_in_every_shape(attachments: object, digests: int, *, whole: bool) -> None:
    """The schema has one object, its example a list; a data: address carries the same base64."""
    seen = answered({"success": True, "message_id": CODE}, request={**REQUEST, "attachments": attachments})
    assert digests == len(seen.documents)
    assert whole == ("request_unreadable" not in seen.notes)


@pytest.mark.parametrize("request_body", [b"{", b"[]", b"\xff"])
def test_an_unreadable_request_does_not_hide_the_answer(request_body: bytes) -> None:
    """That it was accepted is worth more than our own words."""
    seen = answered({"success": True, "message_id": CODE}, request=request_body)
    assert ("submission.accepted", ("request_unreadable",)) == (seen.type, seen.notes)


# --- whose receipt a row is


@pytest.mark.parametrize(
    ("subject", "name", "message_id", "notes"),
    [
        (f"CONSEGNA: Prova {CODE}", f"/send/{CODE}", CODE, set()),
        (f"CONSEGNA: Prova {CODE}", "", CODE, set()),
        (f"CONSEGNA: Prova {CODE} ", f"https://ws.pecmassiva.com/send/{CODE}/", CODE, set()),
        (f"CONSEGNA: Prova {CODE}", f"/send/{CODE[:-1]}", CODE, {"other_message"}),
        (f"CONSEGNA: Prova{CODE}", f"/send/{CODE}", CODE, {"id_not_in_subject"}),
        (f"CONSEGNA: {CODE} Prova", f"/send/{CODE}", CODE, {"id_not_in_subject"}),
        ("CONSEGNA: Prova", f"/send/{CODE}", CODE, {"id_not_in_subject"}),
        (f"CONSEGNA: Prova {CODE}", "/inbox", CODE, set()),
        (f"CONSEGNA: Prova 1{CODE}", "/inbox", "", set()),
        ("CONSEGNA: Prova 9999999999999999", "/inbox", "", set()),
        ("CONSEGNA: Prova", "/inbox/3", "", set()),
    ],
)
def test_a_row_belongs_to_the_id_that_ends_its_subject(
    subject: str, name: str, message_id: str, notes: set[str]
) -> None:
    """As a whole last word, because one id may be the beginning of another; without it, the id asked for counts."""
    (seen,) = rows({"subject": subject}, name=name)
    assert ((Reference("message_id", message_id),) if message_id else ()) == seen.references
    assert notes == set(seen.notes)


@pytest.mark.parametrize(
    ("text", "recipient"),
    [
        ('ed indirizzato a "a@pec.example" consegnato', "a@pec.example"),
        ("destinato all'utente\n &quot;a@pec.example&quot;<br>", "a@pec.example"),
        ('indirizzato a "a@pec.example" e indirizzato a "A@PEC.example"', "A@PEC.example"),
        ('indirizzato a "a@pec.example", indirizzato a "b@pec.example"', None),
        ("indirizzato a a@pec.example", None),
        ('proveniente da "a@pec.example"', None),
        ("Salve, a@pec.example!", None),
        ("", None),
    ],
)
def test_the_recipient_is_who_the_receipt_names_and_nobody_else(text: str, recipient: str | None) -> None:
    """An address somewhere in the text is not the recipient; two named are none."""
    (seen,) = rows({"body": text})
    assert "recipient" == seen.about
    assert (Address("email", recipient) if recipient else None) == seen.recipient
    assert (() if recipient is None else (seen.recipient,)) == seen.declares


@pytest.mark.parametrize("word", ["ACCETTAZIONE", "AVVISO DI NON ACCETTAZIONE"])
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('indirizzato a:\na@pec.example ("posta certificata")\nb@x.example ("posta ordinaria")\n', "ab"),
        ('addressed to:\n a@pec.example ("certified mail")\n', "a"),
        ('indirizzato a "a@pec.example"', "a"),
        ("accettato", ""),
        ("", ""),
    ],
)
def test_an_acceptance_is_about_each_whom_it_lists_and_nobody_else(word: str, text: str, named: str) -> None:
    """One call of a message may be refused, or leave somebody out, while the others are taken: who is not named is not moved."""
    known = {"a": Address("email", "a@pec.example"), "b": Address("email", "b@x.example")}
    seen = rows({"subject": f"{word}: Prova {CODE}", "body": text})
    assert {"recipient"} == {each.about for each in seen}
    assert ([known[name] for name in named] or [None]) == [each.recipient for each in seen]
    assert [each.declares for each in seen] == [(each.recipient,) if each.recipient else () for each in seen]
    assert len(seen) == len({each.identity for each in seen})


def test_the_same_receipt_twice_is_once() -> None:
    """A receipt that names its recipient is known by that, however often it lies in the mailbox."""
    named = {"body": 'indirizzato a "a@pec.example"'}
    assert 1 == len({seen.identity for seen in rows(named, named)})


def test_rows_that_differ_in_nothing_are_counted_apart() -> None:
    """Two deliveries of one second, recipients unknown: two facts, and the same two when read again in any order."""
    late = {"date": "Mon, 02 Mar 2026 10:15:37 +0100"}
    once = [seen.identity for seen in rows({}, {}, late)]
    again = [seen.identity for seen in rows(late, {}, {})]
    assert 3 == len(set(once))
    assert set(again) == set(once)


def test_numbers_of_inbox_rows_are_nowhere() -> None:
    """They move when something is deleted; two readings of one row must agree."""
    one, other = rows({"id": 71077}), rows({"id": 71078})
    assert one == other
    assert "71077" not in repr(one)


def test_both_spellings_say_the_same() -> None:
    """data, object, message as documented; date, subject, body as they come."""
    documented = {
        "data": ROW["date"],
        "object": ROW["subject"],
        "message": "x",
        "date": None,
        "subject": "",
        "body": "",
    }
    assert rows({"body": "x"}) == rows(documented)


def test_a_receipt_from_an_unexpected_sender_is_noted() -> None:
    """Receipts come from posta-certificata@…; a display name may hide that, so it is only noted."""
    (seen,) = rows({"sender": '"Per conto di: x"'})
    assert ("content.consigned", ("sender_unexpected",)) == (seen.type, seen.notes)


@pytest.mark.parametrize(
    ("written", "original", "at"),
    [
        (
            "Wed, 26 Aug 2020 10:00:35 +0200",
            "Wed, 26 Aug 2020 10:00:35 +0200",
            datetime(2020, 8, 26, 8, 0, 35, tzinfo=UTC),
        ),
        ("26 Aug 2020 10:00:35 -0330", "26 Aug 2020 10:00:35 -0330", datetime(2020, 8, 26, 13, 30, 35, tzinfo=UTC)),
        ("2020-08-26", None, None),
        (None, None, None),
    ],
)
def test_time_is_rfc_2822_with_its_offset(written: str | None, original: str | None, at: datetime | None) -> None:
    """What cannot be read is kept and noted."""
    (seen,) = rows({"date": written})
    assert (at, original) == ((seen.occurred.at, seen.occurred.original) if seen.occurred else (None, None))
    assert (at is None) == ("time_unreadable" in seen.notes)
    assert (written if at is None else None) == seen.texts.get("time")


@pytest.mark.parametrize(
    ("body", "text"),
    [("a%0Ab+%C3%A8", "a\nb è"), ("1+1 = 2 %41", "1+1 = 2 %41"), ("%FF%00", "\ufffd\ufffd")],
)
def test_the_text_of_a_single_message_is_form_encoded_unless_it_is_plain(body: str, text: str) -> None:
    """Documented as form-encoded; the published example is not."""
    answer = json.dumps({"data": {**ROW, "body": body}, "success": True}).encode()
    (seen,) = PROVIDER.parse(arrival("inbox", answer, status=200, name="/inbox/3"))
    assert text == seen.texts["text"]


def test_broken_characters_are_kept_and_noted() -> None:
    """Bytes that are no UTF-8, U+0000 and lone surrogates become U+FFFD; the rest of the answer is read."""
    body = b'{"data": [{"subject": "CONSEGNA: perch\xe9 \\u0000 \\ud800"}], "success": true}'
    (seen,) = PROVIDER.parse(arrival("send_status", body, status=200))
    assert "CONSEGNA: perch\ufffd \ufffd \ufffd" == seen.texts["subject"]
    assert "text_repaired" in seen.notes


# --- nothing, and refused


@pytest.mark.parametrize(
    ("operation", "status", "message", "seen"),
    [
        ("send_status", 404, "Result empty", []),
        ("send_status", None, "Result empty", []),
        ("inbox", 404, "Message not found", []),
        ("send_status", 401, "Authorization is not valid or empty", [("account", "authorization")]),
        ("send_status", 404, "Not Found", [("account", "")]),
        ("inbox", 418, "tea", [("account", "")]),
    ],
)
def test_a_poll_that_found_nothing_says_nothing(
    operation: str, status: int | None, message: str, seen: list[tuple[str, str]]
) -> None:
    """Nothing yet is no fact; a refused poll is one about the account, never about a message."""
    body = json.dumps({"success": False, "message": message}).encode()
    found = PROVIDER.parse(arrival(operation, body, status=status, name=f"/send/{CODE}"))
    assert seen == [(one.about, one.reason) for one in found]
    assert all(not one.references for one in found)


@pytest.mark.parametrize(
    ("operation", "body", "status"),
    [
        ("send_status", b"", 200),
        ("send_status", b"[]", 200),
        ("inbox", b'{"success": true}', 200),
        ("inbox", b'{"data": "x", "success": true}', 200),
        ("send_status", b'{"data": [], "data": []}', 200),
        ("send_status", b'{"data": NaN}', 200),
        ("send_status", b"[" * 100_000, 200),
        ("send", b"<html>", None),
        ("send_status", b"<html>", None),
        ("quota", b'{"data": {"usage": 1}}', 200),
    ],
)
def test_what_is_no_answer_is_unreadable(operation: str, body: bytes, status: int | None) -> None:
    """Cut off, something else, or an operation that is not read."""
    with pytest.raises(UnreadableError):
        PROVIDER.parse(arrival(operation, body, status=status))


def test_no_rows_say_nothing() -> None:
    """An empty page ends the paging."""
    assert () == rows()


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        (b'{"success": true, "sent": 1, "message_id": "1"}', "send"),
        (json.dumps({"data": [ROW], "success": True}).encode(), "send_status"),
        (json.dumps({"data": [ROW], "n_of_pages": 1}).encode(), "inbox"),
        (json.dumps({"data": ROW}).encode(), "inbox"),
        (b'{"data": []}', ""),
        (b'{"data": [{"subject": "x"}]}', ""),
        (b"[]", ""),
        (b"X-Ricevuta: accettazione\n", ""),
    ],
)
def test_recognises_its_own_answers(body: bytes, operation: str) -> None:
    """By their fields; an empty page could be anybody's."""
    assert operation == PROVIDER.recognise("x.json", body)


def test_deleting_is_never_used() -> None:
    """Each operation that deletes is named, and the reason why it is not called."""
    deleting = [o for o in PROVIDER.operations if o.method.startswith("DELETE")]
    assert 2 == len(deleting)
    assert all("evidence" in o.why for o in deleting)


# --- hostile bytes

BUDGET: dict[str, Any] = {"max_examples": 300, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
OPERATIONS = st.sampled_from(["send", "send_status", "inbox", "quota", "receipt"])
STATUSES = st.one_of(st.none(), st.integers(0, 700))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=10,
)
FIELDS = st.sampled_from([*ROW, "data", "object", "message", "id", "success", "sent", "message_id", "attachments"])


def reads_or_refuses(body: bytes, operation: str, status: int | None, request: bytes | None, name: str = "") -> None:
    PROVIDER.recognise(name, body)
    try:
        seen = PROVIDER.parse(arrival(operation, body, status=status, request=request, name=name))
    except UnreadableError:
        return
    for one in seen:
        assert not {"\0"} & set("".join(one.texts.values()))
        "".join([*one.texts.values(), *one.identity, *(a.value for a in one.declares)]).encode()
        assert set(one.notes) <= set(PROVIDER.notes)


@settings(**BUDGET)
@given(st.binary(max_size=500), OPERATIONS, STATUSES, st.one_of(st.none(), st.binary(max_size=200)), st.text())
def test_any_bytes_are_read_or_refused(
    body: bytes, operation: str, status: int | None, request: bytes | None, name: str
) -> None:
    """No input ends in anything but observations or UnreadableError."""
    reads_or_refuses(body, operation, status, request, name)


@settings(**BUDGET)
@given(st.sampled_from(MINE), st.data())
def test_any_mutated_sample_is_read_or_refused(case: Any, data: st.DataObject) -> None:
    """Cut, doubled, overwritten: the same rule."""
    given_arrival = samples.arrival(case)
    body = bytearray(given_arrival.body)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        stop = min(len(body), start + data.draw(st.integers(0, 40)))
        body[start:stop] = data.draw(st.one_of(st.binary(max_size=40), st.just(bytes(body[:stop]))))
    reads_or_refuses(bytes(body), given_arrival.operation, given_arrival.status, given_arrival.request)


@settings(**BUDGET)
@given(OPERATIONS, STATUSES, st.dictionaries(FIELDS, JSON), st.dictionaries(FIELDS, JSON))
def test_any_values_in_known_fields_are_read_or_refused(
    operation: str, status: int | None, row: dict[str, Any], outer: dict[str, Any]
) -> None:
    """Known fields with values of every type, in the answer, in its rows and in our request."""
    reads_or_refuses(json.dumps({"data": [row, row], **outer}).encode(), operation, status, json.dumps(outer).encode())
