"""KPN Registered E-mail without a network: what is asked, what may be sent, which ticket an e-mail names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.providers.calling import Access, Answer, Document, Exchange, Submission, judge
from adapters.providers.kpn_registered_email import PROVIDER, dispatch, mails
from adapters.providers.kpn_registered_email.client import CLIENT, authorise, ticket_request, user_request
from adapters.providers.kpn_registered_email.settings import SECRETS, Sender, Settings
from ledger.observations import Address, Arrival, ArrivalKind, UnreadableError

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SENDER = "juridisch@kantoor.example"
SETTINGS = Settings(senders={SENDER: Sender("Kantoor")}, environment_url="https://kantoor.tickets.example/")
ACCESS = Access(settings=SETTINGS, secrets={name: f"hush-{name}" for name in SECRETS}, now=NOW, token="t-1")
SUBMISSION = Submission(
    message="01959f2e-7b1c-7e55-9c5b-3d3a5f0c1a77",
    recipients=(Address("email", "m.jansen@bedrijf.example"),),
    sender=SENDER,
    subject="Opzegging",
    text="Zie bijlage.",
    documents=(Document("a.txt", "text/plain; charset=utf-8", b"A\n"), Document("b.bin", "?", b"")),
    requested_at=NOW,
)


def answer(status: int = 200, body: object = None) -> Answer:
    return Answer(at=NOW, status=status, body=json.dumps(body).encode())


# --- what is asked


def test_the_body_of_a_send_is_the_published_one() -> None:
    """Every required field, and of the others those that were given; the media type without parameters, or the general one."""
    options = dispatch.Options(own_id="dossier-7", campaign="maart", language="nl")
    request = dispatch.next_request(replace(SUBMISSION, options=options), [], ACCESS)
    assert request is not None
    assert ("POST", "/webservice/mailsender/send", 0) == (request.method, request.url, request.recipient)
    assert {
        "message_body": "Zie bijlage.",
        "sender_email": SENDER,
        "sender_real_name": "Kantoor",
        "subject": "Opzegging",
        "recipient_email": "m.jansen@bedrijf.example",
        "x-own-id": "dossier-7",
        "x-own-guid": SUBMISSION.message,
        "x-own-campaign": "maart",
        "recipient_language": "nl",
        "attachments": [
            {"attachment": "QQo=", "attachment_name": "a.txt", "attachment_type": "text/plain"},
            {"attachment": "", "attachment_name": "b.bin", "attachment_type": "application/octet-stream"},
        ],
    } == json.loads(request.body)


def test_what_is_not_given_is_left_out_but_the_attachments() -> None:
    """The published schema asks for a list of them, and it may be empty."""
    request = dispatch.next_request(replace(SUBMISSION, documents=()), [], ACCESS)
    assert request is not None
    said = json.loads(request.body)
    assert ([], {"x-own-guid"}) == (said["attachments"], {name for name in said if name.startswith("x-")})


@pytest.mark.parametrize("verdict", ["sent", "refused", "unclear"])
def test_after_one_call_there_is_no_other(verdict: Any) -> None:
    """Whatever became of it."""
    assert (
        dispatch.next_request(
            SUBMISSION, [Exchange(operation="send", recipient=0, verdict=verdict, answer=None)], ACCESS
        )
        is None
    )


def test_each_house_is_given_its_own_credentials() -> None:
    """KPN the token, Aangetekend Mailen the web service user; the address of a ticket is not kept."""
    send = dispatch.next_request(SUBMISSION, [], ACCESS)
    assert send is not None
    ticket = ticket_request(SETTINGS, "K.Ab1c-v&x")
    given = [authorise(each, ACCESS).headers["authorization"] for each in (send, user_request(SENDER), ticket)]
    assert ["Bearer t-1", "Bearer t-1", "Basic aHVzaC13ZWJfdXNlcjpodXNoLXdlYl9wYXNzd29yZA=="] == given
    where = "https://kantoor.tickets.example/webservice/dashboard/"
    assert f"{where}?ticket_token=K.Ab1c-v%26x&action=ticket_xml" == ticket.url
    assert "/webservice/dashboard/?action=ticket_xml" == ticket.name


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (answer(200, {"ticket_token": "K.1", "ticket_url": "https://x.example", "message": "OK"}), "sent"),
        (answer(201, {"ticket_token": "K.1"}), "sent"),
        (answer(200, {"message": "OK"}), "unclear"),
        (answer(200, {"ticket_token": " "}), "unclear"),
        (answer(200, ["K.1"]), "unclear"),
        (answer(500, {"transactionId": "t", "status": "400", "name": "Bad Request"}), "refused"),
        (answer(401, {"fault": {"detail": {"errorcode": "oauth.v2.InvalidAccessToken"}}}), "later"),
        (answer(404, {"fault": {"detail": {"errorcode": "ApplicationNotFound"}}}), "later"),
        (Answer(at=NOW, failure="timeout"), "unclear"),
        (Answer(at=NOW, failure="unreachable"), "later"),
    ],
)
def test_an_answer_means_one_thing(given: Answer, verdict: str) -> None:
    """A ticket is the proof of a send; without one nobody knows."""
    request = dispatch.next_request(SUBMISSION, [], ACCESS)
    assert request is not None
    assert verdict == judge(CLIENT, request, given).verdict


# --- what may be sent


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"recipients": ()}, "exactly one recipient"),
        ({"recipients": SUBMISSION.recipients * 2}, "exactly one recipient"),
        ({"recipients": (Address("phone", "0612340001"),)}, "must be an e-mail address"),
        ({"recipients": (Address("email", "a@b c"),)}, "must be an e-mail address"),
        ({"sender": ""}, "not among"),
        ({"sender": "iemand@kantoor.example"}, "not among"),
        ({"subject": " "}, "no subject"),
        ({"subject": "a\r\nBcc: b"}, "one line"),
        ({"text": "\n"}, "no text"),
        ({"text_type": "text/html"}, "text/plain"),
        ({"documents": (Document(" ", "text/plain", b""),)}, "a name"),
    ],
)
def test_what_the_provider_would_refuse_is_not_sent(changed: Mapping[str, Any], why: str) -> None:
    """It says what is wrong with it."""
    assert why in dispatch.check(replace(SUBMISSION, **changed), ACCESS)


def test_a_sender_is_known_whatever_the_case_of_the_address() -> None:
    """And nothing else is wrong with this one."""
    assert [""] * 2 == [
        dispatch.check(replace(SUBMISSION, sender=each), ACCESS) for each in (SENDER, SENDER.replace("k", "K"))
    ]


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        (Settings(), ["client_id", "client_secret"]),
        (SETTINGS, ["client_id", "client_secret", "web_user", "web_password"]),
        (Settings(imap_host="imap.example"), ["client_id", "client_secret", "imap_user", "imap_password"]),
    ],
)
def test_credentials_are_asked_for_where_they_are_used(settings: Settings, needed: list[str]) -> None:
    """For documents and for the mailbox only where the account says where those are."""
    assert needed == CLIENT.missing(settings, ())


# --- which ticket an e-mail names


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("K.Ab1c-v", ["K.Ab1c-v"]),
        ("(K.Ab1c-v), K.Ab1c-v.", ["K.Ab1c-v"]),
        ("https://x.example/?ticket_token=K.Ab1c-v&action=ticket_html", ["K.Ab1c-v"]),
        ("https://x.example/?a=b&ticket_token=K%2EAb1c-v", ["K.Ab1c-v"]),
        ("https://x.example/?ticket_token=Q.other~form_9.", ["Q.other~form_9"]),
        ("K.Ab1c-v K.Ab1c-vw", ["K.Ab1c-v", "K.Ab1c-vw"]),
        ("xK.Ab1c-v K.Ab1c-v-w K.Ab1c-v.pdf K.Ab1c_v OK.Ab1c-v", []),
        ("https://x.example/?my_ticket_token=K.Ab1c-v", []),
        ("", []),
    ],
)
def test_a_ticket_is_named_as_a_whole(said: str, expected: list[str]) -> None:
    """In an address or by itself; what only begins or ends like one is none."""
    assert expected == mails.tickets(said)


@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_an_email_is_read_in_any_encoding(encoding: Any, subtype: str) -> None:
    """Long addresses are folded by quoted-printable, and HTML writes the ampersand in its own way."""
    address = f"https://kantoor.tickets.example/{'x' * 80}?lang=nl&ticket_token=K.Ab1c-v&action=ticket_html"
    mail = EmailMessage()
    mail["Subject"] = "Aangetekende mail geweigerd: Opzegging"
    shown = address.replace("&", "&amp;") if subtype == "html" else address
    mail.set_content(f"{shown}\n", subtype=subtype, cte=encoding)
    assert ["K.Ab1c-v"] == mails.tickets_in(mail.as_bytes())


def read(body: bytes) -> list[str]:
    arrival = Arrival(
        provider=PROVIDER.name,
        account="a",
        operation="delivery_mail",
        kind=ArrivalKind.MAILBOX,
        observed_at=NOW,
        body=body,
    )
    try:
        return [seen.type for seen in PROVIDER.parse(arrival)]
    except UnreadableError:
        return []


HEAD = b"Subject: Aangetekende mail geweigerd: K.Ab1c-v\n"


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_any_email_is_read_or_refused(fields: bytes, rest: bytes) -> None:
    """Whatever bytes follow."""
    assert read(HEAD + fields + b"\n\n" + rest) in ([], ["consignment.rejected"], ["channel.unmapped"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\nK.Ab1c-v",
        b"Subject: x\n\n" + b"-" * 1_000,
        b"Subject: x\nContent-Type: text/plain; charset=no-such\n\nK.Ab1c-v",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3_000)),
    ],
    ids=["empty", "no_head", "no_ticket", "charset", "deep"],
)
def test_what_names_no_ticket_or_cannot_be_read_waits_for_a_person(body: bytes) -> None:
    """Nothing is raised that the ledger does not know."""
    assert [] == read(body)


def test_an_email_is_ordinary_whatever_it_says_of_itself() -> None:
    """A DKIM signature that nobody checked proves nothing."""
    arrival = Arrival(
        provider=PROVIDER.name,
        account="a",
        operation="delivery_mail",
        kind=ArrivalKind.MAILBOX,
        observed_at=NOW,
        body=b"DKIM-Signature: v=1\n" + HEAD + b"\n",
    )
    (seen,) = PROVIDER.parse(arrival)
    assert ("ordinary_mail", "dkim_unchecked") == seen.notes


# --- what a person tells


def told(kind: ArrivalKind = ArrivalKind.API, /, **said: str) -> tuple[str, str, tuple[str, ...]]:
    body = {"ticket_token": "K.Ab1c-v", "words": "", "note": "seen by J.", **said}
    arrival = Arrival(
        provider=PROVIDER.name,
        account="a",
        operation="dashboard",
        kind=kind,
        observed_at=NOW,
        body=json.dumps(body).encode(),
    )
    (seen,) = PROVIDER.parse(arrival)
    return seen.type, seen.texts.get("code", ""), seen.notes


def test_what_a_person_saw_is_told_in_the_provider_s_words() -> None:
    """Known ones are read, others kept; and it says that a person told it."""
    mine = ("told_by_person",)
    assert ("consignment.rejected", "", mine) == told(words="Aangetekende mail geweigerd")
    assert ("notice.issued", "", mine) == told(code="95")
    assert ("channel.unmapped", "12", mine) == told(code="12", words="Iets nieuws")
    assert (*told(words="x")[:2], (*mine, "time_unreadable")) == told(words="x", time="gisteren")


@pytest.mark.parametrize("said", [{"words": "x", "note": " "}, {"words": " ", "note": "seen"}])
def test_what_a_person_saw_needs_words_and_a_note(said: dict[str, str]) -> None:
    """Else nobody can tell what it rests on."""
    with pytest.raises(UnreadableError, match="note"):
        told(**said)


@pytest.mark.parametrize("kind", [ArrivalKind.POLL, ArrivalKind.MAILBOX, ArrivalKind.WEBHOOK])
def test_a_person_does_not_speak_for_the_provider(kind: ArrivalKind) -> None:
    """What somebody wrote down never counts as an answer of the provider."""
    with pytest.raises(UnreadableError, match="a person tells"):
        told(kind, words="Aangetekende mail geweigerd")
