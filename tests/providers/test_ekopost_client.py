"""Ekopost's client without a network: what is refused beforehand, what each answer means, what goes out, and what it may cost."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.configuring import convert
from adapters.providers.calling import Access, Answer, Document, Exchange, Request, Submission, Verdict, judge
from adapters.providers.ekopost import PROVIDER, statuses
from adapters.providers.ekopost.channels import CHANNELS, USUAL, postal_fields
from adapters.providers.ekopost.client import CLIENT, authorise
from adapters.providers.ekopost.options import Options
from adapters.providers.ekopost.receipts import is_parcel_number, read
from adapters.providers.ekopost.settings import Settings
from adapters.providers.ekopost.terms import expected
from ledger.errors import LedgerError
from ledger.observations import Address, Arrival, ArrivalKind, UnreadableError

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
SECRETS = {"api_key": "hush-k", "username": "hush-u", "password": "hush-p"}
ACCESS = Access(settings=Settings(), secrets=SECRETS, now=NOW)
PDF = Document("brev.pdf", "application/pdf", b"%PDF-1.4")
XML = Document("faktura.xml", "application/xml", b"<Invoice/>")
ASA = Address("postal", "Åsa Björk\nExempelgatan 7\n416 55 Göteborg")
EVA = Address("person_number", "19800101-0014")
NILS = Address("person_number", "19800101-0022")
PHONE = Address("phone", "+46701740605")


def submission(*to: Address, documents: tuple[Document, ...] = (PDF,), text: str = "", **options: Any) -> Submission:
    return Submission(
        message="m-1",
        recipients=to or (ASA,),
        sender="Kommunen",
        subject="Beslut",
        text=text,
        documents=documents,
        options=Options(**options),
        requested_at=NOW,
    )


def answered(body: object = None, status: int = 200, failure: str = "") -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(at=NOW, status=status, body=data, failure=failure)  # type: ignore[arg-type]


def step(request: Request, answer: Answer, verdict: Verdict = "sent") -> Exchange:
    return Exchange(operation=request.operation, recipient=None, verdict=verdict, answer=answer)


def play(sent: Submission, *answers: object) -> list[Request]:
    """The requests of a chain whose answers are these, each with its status if it is a pair."""
    done: list[Exchange] = []
    requests: list[Request] = []
    for given in (*answers, None):
        request = CLIENT.next_request(sent, done, ACCESS)
        if request is None:
            break
        requests.append(request)
        body, status = given if isinstance(given, tuple) else (given, 200)
        judged = judge(CLIENT, request, answered(body, status))
        done.append(step(request, answered(body, status), judged.verdict))
    return requests


def paths(requests: Sequence[Request]) -> list[str]:
    return [f"{request.method} {request.url}" for request in requests]


# --- what is refused before anything is written


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (submission(), ""),
        (submission(EVA), ""),
        (submission(EVA, address_type="protected", postage="protected"), ""),
        (submission(EVA, NILS, address_type="einbox_signer", signer_emails=("a@x.example", "b@x.example")), ""),
        (submission(Address("organisation", "556000-0001"), documents=(XML,)), ""),
        (submission(PHONE, documents=(), text="Hej"), ""),
        (dataclasses.replace(submission(), recipients=()), "no recipient"),
        (submission(Address("fax", "+3120")), "nothing of Ekopost"),
        (submission(ASA, ASA), "one recipient"),
        (submission(EVA, address_type="email"), "email goes to email only"),
        (submission(documents=()), "one document"),
        (submission(documents=(PDF, Document("x.docx", "application/msword", b"x"))), "application/pdf"),
        (submission(documents=(PDF, XML, XML)), "one markup"),
        (submission(reply_mail="mall.pdf"), "names no document"),
        (submission(address={"street": ["exempelgatan  7"], "use_coverpage": True}), ""),
        (submission(address={"street": ["Annangatan 8"]}), "those of the recipient"),
        (submission(kb=True), "registered letters"),
        (submission(EVA, postage="rek"), "only a postal address"),
        (submission(Address("postal", f"{'Å' * 36}\nGatan 1\n416 55 Göteborg"), postage="rek"), "35"),
        (submission(Address("postal", "Åsa\nGatan 1\n0150 Oslo\nNO"), postage="rek"), "five digits"),
        (submission(EVA, address_type="protected"), "protected"),
        (submission(postage="protected"), "protected"),
        (submission(EVA, address_type="einbox_signer"), "signer_emails"),
        (submission(EVA, issuer=0), "issuer"),
        (submission(output_date="tomorrow"), "output_date"),
        (submission(ask_reachable=True), "nobody can be asked"),
        (submission(EVA, ask_reachable=True), "fallback"),
        (submission(Address("phone", "0701740605"), documents=(), text="Hej"), "country"),
        (submission(PHONE, EVA, documents=(), text="Hej"), "phone numbers only"),
        (submission(PHONE, documents=()), "text"),
        (submission(PHONE, text="Hej"), "no documents"),
        (dataclasses.replace(submission(PHONE, documents=(), text="Hej"), sender=" "), "sender"),
        (submission(*[PHONE] * 100_001, documents=(), text="Hej"), "100000"),
    ],
)
def test_what_cannot_be_sent_says_why(sent: Submission, why: str) -> None:
    """Before anything is written, and in words that say what to do."""
    said = CLIENT.check(sent, ACCESS)
    assert (bool(why), True) == (bool(said), why in said)


# --- what goes out


def test_a_letter_is_named_by_its_message_and_tells_nobody_else() -> None:
    """unique_id keeps a second call from making a second letter; the address begins with `$type`."""
    created, envelope, *_ = play(submission(postage="economy", plex="duplex", agent="A1"), {"id": "c-1"}, {"id": "e-1"})
    assert {"name": "m-1", "output_date": "2026-03-02 12:30:00", "cost_center": "", "signing": False} == json.loads(
        created.body
    )
    said = json.loads(envelope.body)
    assert "/campaigns/c-1/envelopes" == envelope.url
    assert ("m-1", "m-1", "economy", "duplex", "A1") == tuple(
        said[key] for key in ("name", "unique_id", "postage", "plex", "agent")
    )
    assert "$type" == next(iter(said["address"]))
    assert ({"name": ["Åsa Björk"], "street": ["Exempelgatan 7"], "postal_code": "416 55"}.items()) <= said[
        "address"
    ].items()


def test_of_several_documents_the_first_is_the_letter_and_the_template_is_the_reply() -> None:
    """An attachment is the only content that a repetition would double, so only it may not be repeated."""
    mall = Document("mall.pdf", "application/pdf", b"%PDF-1.4 svar")
    sent = submission(documents=(PDF, PDF, mall), reply_mail="mall.pdf")
    created, _, *contents = play(sent, {"id": "c"}, {"id": "e"}, {"id": "1"}, {"id": "2"}, {"id": "3"})
    told = [(json.loads(each.body)["type"], each.may_send) for each in contents if each.operation == "content"]
    assert [("document", False), ("attachment", True), ("replymail", True)] == told
    assert "true" == json.loads(created.body)["replymail"]


def test_signers_are_named_with_their_mails_and_the_issuer() -> None:
    """The campaign is marked as one for signing."""
    mails = ("a@x.example", "b@x.example")
    sent = submission(EVA, NILS, address_type="einbox_signer", signer_emails=mails, issuer=1)
    campaign, envelope, *_ = play(sent, {"id": "c"}, {"id": "e"})
    assert json.loads(campaign.body)["signing"] is True
    assert [("19800101-0014", "a@x.example", False), ("19800101-0022", "b@x.example", True)] == [
        (each["recipient"], each["email"], each["issuer"]) for each in json.loads(envelope.body)["address"]["signers"]
    ]


def test_only_the_last_call_may_cause_a_letter() -> None:
    """Every call before it may be repeated without a second letter."""
    opened, closed = {"id": "e", "state": "opened"}, {"id": "e", "state": "closed"}
    made = play(submission(), {"id": "c"}, opened, {"id": "d"}, closed, {"id": "c", "state": "closed"})
    assert [False, False, False, False, True] == [request.may_send for request in made]
    left_open = play(submission(campaign="Mars", close=False), [], {"id": "c"}, opened, {"id": "d"}, closed)
    assert [False, False, False, False, True] == [request.may_send for request in left_open]


def test_an_envelope_that_is_there_already_is_found_by_its_name() -> None:
    """126: an earlier call was taken, and its answer lost."""
    there = [{"id": "other", "unique_id": "m-2"}, {"id": "e-9", "unique_id": "m-1"}]
    made = play(submission(), {"id": "c"}, ({"error_code": "126"}, 400), there)
    assert ["GET /campaigns/c/envelopes?name=m-1", "POST /campaigns/c/envelopes/e-9/content"] == paths(made)[2:]
    nowhere = play(submission(), {"id": "c"}, ({"error_code": "126"}, 400), [])
    assert 3 == len(nowhere)


def test_a_close_that_is_refused_is_looked_at_before_it_is_believed() -> None:
    """Its first answer may have been lost; what is open after all is closed once more, for good."""
    refused = ({"error_code": "127"}, 400)
    begun = ({"id": "c"}, {"id": "e"}, {"id": "d"}, refused)
    closed = play(submission(), *begun, {"id": "e", "state": "closed"})
    assert ["GET /campaigns/c/envelopes/e", "POST /campaigns/c/close"] == paths(closed)[4:]
    still_open = play(submission(), *begun, {"id": "e", "state": "opened"}, refused)
    assert ["GET /campaigns/c/envelopes/e", "POST /campaigns/c/envelopes/e/close"] == paths(still_open)[4:]


def test_whom_it_goes_to_follows_from_the_recipients_alone() -> None:
    """Further fields cannot send it to somebody whom the ledger does not know of."""
    sent = submission(
        EVA, address={"recipient": "19800101-9999", "$type": "email", "sender_id": "S1", "subject": "Annat"}
    )
    _, envelope, *_ = play(sent, {"id": "c"}, {"id": "e"})
    address = {"$type": "einbox", "subject": "Annat", "recipient": EVA.value, "sender_id": "S1"}
    assert address == json.loads(envelope.body)["address"]


@pytest.mark.parametrize(("there", "made"), [("opened", False), ("closed", True)])
def test_only_an_open_campaign_of_exactly_that_name_is_joined(there: str, *, made: bool) -> None:
    """Else one is made under that name; the name is in no address that is kept."""
    listed = [{"id": "x", "name": "Mars 2", "state": "opened"}, {"id": "c", "name": "Mars", "state": there}]
    found, second = play(submission(campaign="Mars"), listed)[:2]
    assert ("/campaigns", made) == (found.name, second.url == "/campaigns")


def test_credentials_are_in_the_header_alone() -> None:
    """An API key, or user name and password."""
    request = Request(operation="campaign", url="/campaigns", body=b"{}")
    basic = dataclasses.replace(ACCESS, settings=Settings(auth="basic"))
    assert "api-key hush-k" == authorise(request, ACCESS).headers["authorization"]
    said = authorise(request, basic).headers["authorization"].removeprefix("Basic ")
    assert b"hush-u:hush-p" == base64.b64decode(said)
    assert [["api_key"], ["username", "password"]] == [CLIENT.missing(a.settings, ()) for a in (ACCESS, basic)]


@pytest.mark.parametrize("name", ["../sms", "a/b", "a?state=x", "", "x" * 65, "å"])
def test_an_id_that_is_none_stands_in_no_path(name: str) -> None:
    """A path is not built from whatever an answer holds; who answers so is asked again."""
    assert ["POST /campaigns"] == paths(play(submission(), {"id": name}))
    assert ("later", "2026-03-02T12:31:00+00:00") == verdict(CREATE, {"id": name})


# --- what an answer means


def verdict(request: Request, body: object = None, status: int = 200, failure: str = "") -> tuple[str, str]:
    judged = judge(CLIENT, request, answered(body, status, failure))
    return judged.verdict, judged.retry_at.astimezone(UTC).isoformat() if judged.retry_at else ""


CREATE = Request(operation="envelope_create", url="/campaigns/c/envelopes", may_send=False)
LAST = Request(operation="campaign", url="/campaigns/c/close")


@pytest.mark.parametrize(
    ("request_", "answer", "means"),
    [
        (CREATE, ({"id": "e"},), ("sent", "")),
        (CREATE, ({"id": "e", "error_code": None},), ("sent", "")),
        (CREATE, ({"error_code": "112"}, 200), ("refused", "")),
        (CREATE, ({"error_code": "126"}, 400), ("sent", "")),
        (CREATE, ({"error_code": "113"}, 400), ("later", "2026-03-31T22:00:00+00:00")),
        (CREATE, ({"error_code": "143"}, 400), ("later", "2026-03-02T23:00:00+00:00")),
        (CREATE, ({"error_code": "0"}, 400), ("later", "2026-03-02T13:00:00+00:00")),
        (CREATE, ({"error_code": "999Z"}, 400), ("refused", "")),
        (CREATE, (b"<html>", 200), ("later", "2026-03-02T12:31:00+00:00")),
        (CREATE, (b"<html>", 502), ("later", "2026-03-02T12:31:00+00:00")),
        (CREATE, (b"", 404), ("refused", "")),
        (CREATE, (b"", 0, "unreachable"), ("later", "2026-03-02T12:31:00+00:00")),
        (LAST, ({"id": "c", "state": "closed"},), ("sent", "")),
        (LAST, ({"error_code": "102"}, 400), ("later", "2026-03-02T12:31:00+00:00")),
        (LAST, ({"error_code": "101"}, 400), ("refused", "")),
        (LAST, (b"", 200), ("unclear", "")),
        (LAST, (b"", 500), ("unclear", "")),
        (LAST, (b"", 0, "timeout"), ("unclear", "")),
        (LAST, (b"", 0, "cut"), ("unclear", "")),
    ],
)
def test_an_answer_means_what_the_table_says(
    request_: Request, answer: tuple[Any, ...], means: tuple[str, str]
) -> None:
    """Only the last call is ever unclear to somebody; days and months are those of Stockholm."""
    assert means == verdict(request_, *answer)


@pytest.mark.parametrize("word", sorted({row.word for row in statuses.ERROR}))
def test_every_error_code_is_decided(word: str) -> None:
    """None falls through to a guess by HTTP status."""
    judged = judge(CLIENT, CREATE, answered({"error_code": word}, 400))
    assert (word, True) == (judged.code, judged.verdict in {"sent", "refused", "later"})


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (answered({"state": "opened"}), "later"),
        (answered({"state": "closed"}), "sent"),
        (answered({"state": "transferred"}), "sent"),
        (answered({}), "unclear"),
        (answered({"state": "closed"}, 500), "unclear"),
        (answered(b"<html>"), "unclear"),
    ],
)
def test_an_unclear_close_is_settled_by_the_state(answer: Answer, told: Verdict) -> None:
    """Open means not closed; what cannot be read settles nothing."""
    assert told == CLIENT.found(submission(), answer)


def test_only_a_close_is_asked_about() -> None:
    """An attachment shows in no answer, so an unclear one waits for a person, and nothing is sent meanwhile."""
    begun = [step(CREATE, answered({"id": name})) for name in ("c", "e", "d")]
    unclear = Exchange(operation="content", recipient=None, verdict="unclear", answer=None)
    two = submission(documents=(PDF, PDF))
    assert (None, None) == (
        CLIENT.ask(two, [*begun, unclear], ACCESS),
        CLIENT.next_request(two, [*begun, unclear], ACCESS),
    )
    closed = step(CREATE, answered({"id": "e", "state": "closed"}))
    asked = CLIENT.ask(submission(), [*begun, closed, unclear], ACCESS)
    assert ["GET /campaigns/c"] == paths([asked] if asked else [])


# --- tables


def test_every_address_type_has_its_channel_and_every_fallback_is_documented() -> None:
    """The words that are read and the channels that are sent by are the same."""
    words = {row.word for row in statuses.ADDRESS_TYPE} - {"einboxKivra"}
    assert (words, set()) == (set(CHANNELS), set(USUAL.values()) - set(CHANNELS))
    falls = {row.word for row in statuses.ADDRESS_TYPE if "printed and posted instead" in row.note} - {"einboxKivra"}
    assert falls == {kind for kind, channel in CHANNELS.items() if channel.fallback == "letter"}


def test_only_a_tracked_letter_reaches_more_than_a_report() -> None:
    """Nobody attests that anything else arrived."""
    assert {"postal"} == {kind for kind, channel in CHANNELS.items() if channel.best_grade != "E2"}


@pytest.mark.parametrize(
    ("written", "town"),
    [
        ("Åsa\nGatan 1\n416 55 Göteborg\nSE", ("416 55", "Göteborg", "SE")),
        ("Åsa\n41655 Göteborg", ("41655", "Göteborg", "SE")),
        ("Kari\nc/o Ola\nGata 1\n0150 Oslo\nno", ("0150", "Oslo", "NO")),
        ("Åsa, Gatan 1, Göteborg", None),
        ("", None),
        ("SE", None),
    ],
)
def test_a_postal_address_in_rows_becomes_fields_or_stays_in_the_document(
    written: str, town: tuple[str, str, str] | None
) -> None:
    """What is not written so is not guessed at."""
    found = postal_fields(written)
    assert town == ((found["postal_code"], found["city"], found["country"]) if found else None)


# --- by when


@pytest.mark.parametrize(
    ("posted", "postage", "day"),
    [
        ("2026-03-02T14:30:00+00:00", "priority", "2026-03-03"),
        ("2026-03-02T23:30:00+00:00", "priority", "2026-03-04"),
        ("2026-03-06T14:30:00+00:00", "priority", "2026-03-09"),
        ("2026-03-06T14:30:00+00:00", "economy", "2026-03-12"),
        ("2026-04-02T10:00:00+00:00", "priority", "2026-04-07"),
        ("2026-06-18T10:00:00+00:00", "priority", "2026-06-22"),
        ("2026-12-23T10:00:00+00:00", "economy", "2027-01-04"),
        ("2026-05-13T10:00:00+00:00", "priority", "2026-05-15"),
        ("2026-03-02T14:30:00+00:00", "rek", ""),
        ("9999-12-31T14:30:00+00:00", "priority", ""),
    ],
)
def test_a_letter_should_have_arrived_after_the_working_days_of_its_postage(
    posted: str, postage: str, day: str
) -> None:
    """Counted in Stockholm, without weekends, holidays and their eves; and never called a proof."""
    said = f"should have arrived by {day}; no proof of delivery exists" if day else ""
    assert said == expected(datetime.fromisoformat(posted), postage)


# --- receipts


@pytest.mark.parametrize(
    ("number", "is_good"),
    [("RR123456785SE", True), ("RR473124829SE", True), ("RR123456784SE", False), ("CX000000005SE", True)],
)
def test_a_parcel_number_has_its_check_digit(number: str, *, is_good: bool) -> None:
    """UPU standard S10; the second is the example of the standard with another country."""
    assert is_good == is_parcel_number(number)


@pytest.mark.parametrize("body", [b"", b"RR123456784SE", b"RR123456785SE and RR473124829SE", b"XRR123456785SE"])
def test_a_receipt_that_names_no_letter_or_several_waits_for_a_person(body: bytes) -> None:
    """It is never put with a letter by guessing."""
    arrival = Arrival(
        provider="ekopost",
        account="a",
        operation="receipt",
        kind=ArrivalKind.MAILBOX,
        observed_at=NOW,
        body=body,
    )
    with pytest.raises(UnreadableError):
        read(arrival)


# --- settings


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, ""),
        ({"base_url": "http://api.sandbox.ekopost.se", "allow_plain_http": True}, ""),
        ({"base_url": "http://api.sandbox.ekopost.se"}, "base_url"),
        ({"auth": "digest"}, "auth"),
        ({"window_days": 13}, "window_days"),
        ({"api_key": "x"}, "api_key"),
    ],
)
def test_settings_say_what_is_wrong_with_them(given: dict[str, Any], why: str) -> None:
    """The provider's own sandbox has no TLS: it is called only by who says so."""
    if not why:
        assert isinstance(convert(PROVIDER, given), Settings)
        return
    with pytest.raises(LedgerError, match=why):
        convert(PROVIDER, given)
