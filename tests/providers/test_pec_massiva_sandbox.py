"""The simulated PEC Massiva: its answers are those of the OpenAPI documents, and its rows are the provider's own e-mails."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import aiohttp
import pytest

from adapters.providers.calling import Access, Request, Submission, judge
from adapters.providers.calling import Answer as CallAnswer
from adapters.providers.pec_mailbox import PROVIDER as PEC_MAILBOX
from adapters.providers.pec_massiva import PROVIDER
from adapters.providers.pec_massiva.client import CLIENT
from adapters.providers.pec_massiva.dispatch import Options
from adapters.providers.pec_massiva.sandbox import (
    ACCOUNT,
    PASSWORD,
    Clock,
    Fault,
    Manners,
    PecMassiva,
    Provider,
    Service,
    running,
    serve,
)
from adapters.providers.pec_massiva.settings import Settings
from ledger.observations import Address, Arrival, ArrivalKind, Observation

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PATIENCE_S = 0.5
"""How long a caller waits for an answer that will not come."""
HOST = "ws.pecmassiva.com"
BASIC = "Basic " + base64.b64encode(b"conto@cliente.example:chiave-di-prova").decode()
NOT_AUTHORISED = {"success": False, "message": "Authorization is not valid or empty"}
ALL = [
    f"{scope.replace(' ', f':{HOST}/')}"
    for scope in ("POST send", "GET send", "DELETE send", "GET inbox", "DELETE inbox", "GET quota")
]


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def said(self) -> Any:
        return json.loads(self.body)

    @property
    def told(self) -> tuple[int, Any]:
        return self.status, self.said


class Client:
    """A caller with a token and the credentials of the mailbox, each of which a test may change."""

    def __init__(self, sandbox: PecMassiva, scopes: list[str] = ALL) -> None:
        self.sandbox, self.timeout_s = sandbox, 20.0
        self.token = self.call("POST", "/tokens", {"scopes": scopes}, Authorization=BASIC).said.get("token", "")
        self.opened = {"x-username": ACCOUNT, "x-password": PASSWORD}

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        return self.raw(method, path, json.dumps(body).encode() if body is not None else None, headers)

    def raw(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        host = self.sandbox.base_url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=self.timeout_s)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            connection.close()

    def get(self, path: str, method: str = "GET") -> Answer:
        return self.call(method, path, None, Authorization=f"Bearer {self.token}", **self.opened)

    def send(self, *to: str, **changed: Any) -> Answer:
        asked = {
            "sender": ACCOUNT,
            "recipient": [f"{name}@pec.altro.example" for name in to],
            "subject": "Diffida n. 7, più",
            "body": "In <b>allegato</b>, così com'è",
            "attachments": [{"name": "diffida.pdf", "file": "data:application/pdf;base64,JVBERi0xLjc="}],
            "username": ACCOUNT,
            "password": PASSWORD,
        }
        return self.call("POST", "/send", {**asked, **changed}, Authorization=f"Bearer {self.token}")

    def sent(self, *to: str, hours: float = 48, **changed: Any) -> str:
        """The message_id of a send that was accepted, its receipts all there."""
        said = self.send(*to, **changed).said
        self.sandbox.mail.advance(hours=hours)
        return str(said["message_id"])


@contextmanager
def started(manners: Manners | None = None, **options: Any) -> Iterator[Client]:
    provider = Provider({ACCOUNT: PASSWORD}, clock=Clock(START), **options)
    with running(service=Service(provider, manners=manners or Manners(gap=timedelta()))) as sandbox:
        yield Client(sandbox)


@pytest.fixture
def client() -> Iterator[Client]:
    """A caller of a new sandbox, which takes any number of sends a second."""
    with started() as caller:
        yield caller


def read(operation: str, answer: Answer, name: str = "") -> tuple[Observation, ...]:
    """What our reader sees in an answer."""
    return PROVIDER.parse(
        Arrival(
            provider="pec_massiva",
            account="a",
            operation=operation,
            kind=ArrivalKind.POLL,
            observed_at=START,
            body=answer.body,
            status=answer.status,
            name=name,
        )
    )


# --- tokens


def test_both_generations_of_the_token_service_give_tokens(client: Client) -> None:
    """`expire` in seconds in the first, `expireAt` as text in the second; a time to live is kept to."""
    first = client.call("POST", "/token", {"scopes": ALL, "ttl": 60}, Authorization=BASIC)
    second = client.call("POST", "/tokens", {"scopes": ALL, "ttl": 60}, Authorization=BASIC)
    assert (200, int(START.timestamp()) + 60, True) == (first.status, first.said["expire"], first.said["success"])
    assert (200, "2026-03-02T09:01:00Z") == (second.status, second.said["expireAt"])
    for answer in (first, second):
        client.token = answer.said["token"]
        assert 404 == client.get("/send/2026030210000001").status
    client.sandbox.mail.advance(seconds=60)
    assert (401, NOT_AUTHORISED) == client.get("/send/1").told


@pytest.mark.parametrize(
    ("path", "authorization", "asked", "status", "error"),
    [
        ("/token", BASIC, {}, 406, 110),
        ("/token", "Basic eA==", {"scopes": ALL}, 406, 110),
        ("/tokens", BASIC, {}, 422, 70),
        ("/tokens", BASIC, {"scopes": ["nothing"]}, 422, 90),
        ("/tokens", "", {"scopes": ALL}, 422, 90),
        ("/tokens", BASIC, [], 422, 70),
    ],
)
def test_a_token_is_refused_with_the_documented_error(
    client: Client, *, path: str, authorization: str, asked: object, status: int, error: int
) -> None:
    """No scopes, unknown ones, and wrong credentials."""
    answer = client.call("POST", path, asked, Authorization=authorization)
    assert (status, error, False) == (answer.status, answer.said["error"], answer.said["success"])


def test_a_token_opens_only_what_its_scopes_name(client: Client) -> None:
    """A method and a path, or an asterisk for all."""
    reader = Client(client.sandbox, [f"GET:{HOST}/inbox"])
    assert [200, 401] == [reader.get("/inbox").status, reader.get("/quota/INBOX").status]
    assert 401 == reader.send("rossi").status
    assert 200 == Client(client.sandbox, ["*:*/*"]).get("/quota/INBOX").status


def test_scopes_of_another_host_give_no_token() -> None:
    """Production and sandbox have scopes of their own."""
    with started(Manners(scope_host="test.ws.pecmassiva.com")) as caller:
        assert "" == caller.token
        assert Client(caller.sandbox, ["GET:test.ws.pecmassiva.com/inbox"]).token


def test_wrong_credentials_of_the_mailbox_look_like_a_wrong_token(client: Client) -> None:
    """One answer for both, in each call."""
    assert (401, NOT_AUTHORISED) == client.send("rossi", password="falsa").told
    client.opened["x-password"] = "falsa"
    for method, path in (
        ("GET", "/send/1"),
        ("DELETE", "/send/1"),
        ("GET", "/inbox"),
        ("GET", "/inbox/1"),
        ("GET", "/quota/INBOX"),
    ):
        assert (401, NOT_AUTHORISED) == client.get(path, method).told
    assert [] == client.sandbox.service.sends


# --- sending


def test_a_send_is_answered_with_a_message_id_that_ends_the_subject(client: Client) -> None:
    """And every receipt of it is found by that."""
    answer = client.send("rossi", "refused")
    assert (201, True, 2) == (answer.status, answer.said["success"], answer.said["sent"])
    code = answer.said["message_id"]
    client.sandbox.mail.advance(hours=1)
    rows = client.get(f"/send/{code}").said["data"]
    assert [
        f"{kind}: Diffida n. 7, più {code}" for kind in ("ACCETTAZIONE", "CONSEGNA", "AVVISO DI MANCATA CONSEGNA")
    ] == [row["subject"] for row in rows]
    (seen,) = read("send", answer)
    assert "submission.accepted" == seen.type


@pytest.mark.parametrize(
    "changed",
    [
        {"recipient": []},
        {"recipient": ["non-un-indirizzo"]},
        {"recipient": "a@b.example\r\nBcc: c@d.example"},
        {"recipient": 7},
        {"subject": None},
        {"subject": "due\nrighe"},
        {"body": 1},
        {"attachments": [{"name": "a.pdf", "file": "data:;base64,###"}]},
        {"attachments": [{"file": "QUJD"}]},
        {"attachments": "QUJD"},
        {"sender": "altro@pec.fornitore.example"},
    ],
)
def test_a_wrong_parameter_is_refused_and_nothing_is_sent(client: Client, changed: dict[str, Any]) -> None:
    """400, in the words of the document."""
    answer = client.send("rossi", **changed)
    assert (400, {"success": False, "message": "Post parameter is not valid"}) == (answer.status, answer.said)
    assert [] == client.sandbox.mail.provider.accepted


def test_one_recipient_and_one_attachment_need_no_list(client: Client) -> None:
    """The document has both spellings."""
    one = {"recipient": "rossi@pec.altro.example", "attachments": {"name": "a.txt", "file": "QUJD"}}
    assert 1 == client.send(**one).said["sent"]
    (accepted,) = client.sandbox.mail.provider.accepted
    assert b"QUJD" in accepted.sending.original.raw


def test_fewer_may_be_sent_than_were_asked_for(client: Client) -> None:
    """`sent` says how many, and not which."""
    partial = client.send("rossi", "unsent").said
    assert (True, 1) == (partial["success"], partial["sent"])
    failed = client.send("unsent").said
    assert (False, "error occurred connecting to SMTP: timed out") == (failed["success"], failed["message_id"])
    (accepted,) = client.sandbox.mail.provider.accepted
    assert ["rossi@pec.altro.example"] == [one.address for one in accepted.sending.recipients]


def test_only_one_send_a_second_is_taken() -> None:
    """The next is told to wait, and is not sent."""
    with started(Manners()) as caller:
        assert [201, 429] == [caller.send("rossi").status, caller.send("rossi").status]
        assert "1" == caller.send("rossi").headers["Retry-After"]
        caller.sandbox.mail.advance(seconds=1)
        assert 201 == caller.send("rossi").status
        assert 2 == len(caller.sandbox.service.sends)


# --- rows are e-mails


def test_a_row_and_its_signed_e_mail_say_the_same(client: Client) -> None:
    """Date, subject and the address in the text are those of the e-mail in the mailbox."""
    code = client.sent("rossi", "silent", "refused")
    rows = client.get(f"/send/{code}").said["data"]
    mails = client.sandbox.mail.mailboxes[ACCOUNT]
    assert 5 == len(rows) == len(mails)
    for row, mail in zip(rows, mails, strict=True):
        fields = message_from_bytes(mail.raw)
        assert (fields["Date"], str(make_header(decode_header(fields["Subject"])))) == (row["date"], row["subject"])
        (signed,) = PEC_MAILBOX.parse(Arrival(**BARE, body=mail.raw))
        assert signed.recipient is None or f'"{signed.recipient.value}"' in row["body"]


BARE: dict[str, Any] = {
    "provider": "pec_mailbox",
    "account": "a",
    "operation": "receipt",
    "kind": ArrivalKind.MAILBOX,
    "observed_at": START,
}


@pytest.mark.parametrize("rows", ["live", "documented"])
def test_both_spellings_of_rows_are_read_alike(rows: Any) -> None:
    """`date, subject, body` as met, `data, object, message` as documented."""
    with started(Manners(rows=rows, gap=timedelta())) as caller:
        code = caller.sent("rossi", "silent")
        answer = caller.get(f"/send/{code}")
        seen = read("send_status", answer, f"/send/{code}")
    names = {"live": {"date", "subject", "body"}, "documented": {"data", "object", "message"}}
    assert {"sender", "recipient", *names[rows]} == set(answer.said["data"][0])
    expected = ["submission.accepted"] * 2 + ["content.consigned", "relay.delayed", "relay.delayed"]
    assert expected == [one.type for one in seen]
    rossi, silent = "rossi@pec.altro.example", "silent@pec.altro.example"
    assert [rossi, silent, rossi] == [one.recipient and one.recipient.value for one in seen[:3]]


def test_texts_may_be_those_of_the_original() -> None:
    """As in the published example: then nobody is named, and nobody is guessed."""
    with started(Manners(texts="original", gap=timedelta())) as caller:
        code = caller.sent("rossi")
        answer = caller.get(f"/send/{code}")
    assert ["", "In <b>allegato</b>, così com'è\n"] == [
        row["body"].replace("\r\n", "\n") for row in answer.said["data"]
    ]
    assert [None, None] == [one.recipient for one in read("send_status", answer, f"/send/{code}")]


@pytest.mark.parametrize("letters", ["replaced", "raw"])
def test_broken_letters_are_read_and_said(letters: Any) -> None:
    """U+FFFD in the text, or bytes that are not UTF-8 at all."""
    with started(Manners(letters=letters, gap=timedelta())) as caller:
        code = caller.sent("rossi")
        answer = caller.get(f"/send/{code}")
    seen = read("send_status", answer, f"/send/{code}")
    assert ["submission.accepted", "content.consigned"] == [one.type for one in seen]
    assert all("text_repaired" in one.notes for one in seen)
    assert (letters == "raw") is (b"\xf9" in answer.body)


def test_there_is_nothing_until_there_is_something(client: Client) -> None:
    """404 is not a failure: a code nobody has, and one whose receipts were deleted."""
    nothing = (404, {"success": False, "message": "Result empty"})
    assert nothing == client.get("/send/2026030210000099").told
    code = client.sent("rossi")
    assert {"success": True, "message": "Operation succefull"} == client.get(f"/send/{code}", "DELETE").said
    assert nothing == client.get(f"/send/{code}").told
    gone = client.get(f"/send/{code}", "DELETE")
    assert (404, "Email not found") == (gone.status, gone.said["message"])
    assert [] == client.sandbox.mail.mailboxes[ACCOUNT]


# --- the mailbox


@pytest.mark.parametrize("first_page", [0, 1])
def test_a_page_has_at_most_twenty_five_rows(first_page: Any) -> None:
    """All pages together show each mail once; the number of pages is rounded down, as in the document's example."""
    with started(Manners(first_page=first_page, gap=timedelta())) as caller:
        caller.sent(*(f"rossi{n}" for n in range(59)))
        pages = [caller.get(f"/inbox?page={page}").said for page in range(first_page, first_page + 4)]
        assert pages[0]["data"] == caller.get("/inbox").said["data"]
    assert [25, 25, 10, 0] == [len(page["data"]) for page in pages]
    assert (60, 2) == (pages[0]["total"], pages[0]["n_of_pages"])
    assert set(range(1, 61)) == {row["id"] for page in pages for row in page["data"]}
    assert {"sender", "recipient", "date", "object", "id"} == set(pages[0]["data"][0])


def test_numbers_are_places_and_move_after_a_deletion(client: Client) -> None:
    """What was the second mail is the first."""
    client.sent("rossi", "refused")
    before = client.get("/inbox/2").said["data"]
    assert {"success": True, "message": "Message deleted"} == client.get("/inbox/1", "DELETE").said
    assert before == client.get("/inbox/1").said["data"]
    for method in ("GET", "DELETE"):
        missing = client.get("/inbox/9", method)
        assert (404, "Message not found") == (missing.status, missing.said["message"])


def test_the_text_of_a_single_message_is_form_encoded(client: Client) -> None:
    """And decoded by our reader."""
    client.sent("rossi")
    answer = client.get("/inbox/2")
    assert '"rossi@pec.altro.example"' in unquote_plus(answer.said["data"]["body"])
    (seen,) = read("inbox", answer, "/inbox/2")
    assert ("content.consigned", "rossi@pec.altro.example") == (seen.type, seen.recipient and seen.recipient.value)


def test_the_mailbox_can_be_searched(client: Client) -> None:
    """By what a row shows."""
    client.sent("rossi", "refused")
    assert ["AVVISO DI MANCATA CONSEGNA"] == [
        row["object"].partition(":")[0] for row in client.get("/inbox?q=mancata").said["data"]
    ]


def test_the_quota_grows_with_receipts_until_nothing_fits() -> None:
    """In KiB; a full mailbox takes no receipts, though sends are still accepted."""
    with started(mailbox_bytes=20 * 1024) as caller:
        assert {"usage": 0, "limit": 20} == caller.get("/quota/INBOX").said["data"]
        used = []
        for _ in range(4):
            caller.sent("rossi")
            used.append(caller.get("/quota/inbox").said["data"]["usage"])
        assert used == sorted(used)
        assert 0 < used[0] < used[-1] <= 20
        assert caller.sandbox.mail.provider.lost
        assert 400 == caller.get("/quota/Altra").status


def test_whatever_lies_in_the_mailbox_is_shown(client: Client) -> None:
    """Bytes that are no e-mail, and a subject in an unknown character set, hurt neither the page nor their neighbours."""
    code = client.sent("rossi")
    for raw in (
        b"",
        b"\xff\x00\xfe" * 50,
        b"Subject: =?unknown?q?=FF?=\r\nFrom: \xff\r\n\r\n\xff",
        b"Subject: =?utf-8?b?AAA?=",
    ):
        client.sandbox.mail.provider.put(ACCOUNT, raw)
    assert 6 == len(client.get("/inbox").said["data"])
    assert [200] * 6 == [client.get(f"/inbox/{number}").status for number in range(1, 7)]
    assert 2 == len(client.get(f"/send/{code}").said["data"])


# --- faults


FAULTS: list[tuple[Fault, int | None, int]] = [
    (Fault("status", 500), 500, 0),
    (Fault("status", 429), 429, 0),
    (Fault("status", 403), 403, 0),
    (Fault("redirect"), 302, 0),
    (Fault("garbage"), 201, 1),
    (Fault("cut_after"), None, 1),
    (Fault("cut_before"), None, 0),
    (Fault("slow_after"), None, 1),
    (Fault("slow_before"), None, 0),
]
"""A fault, the status that the caller sees, and how many sends are accepted."""


@pytest.mark.parametrize(("fault", "status", "accepted"), FAULTS)
def test_each_fault_strikes_one_send_and_its_acceptance_is_counted(
    client: Client, fault: Fault, status: int | None, accepted: int
) -> None:
    """Whatever the caller saw, the sandbox knows how often a request was accepted."""
    client.sandbox.faults.add("POST /send", fault)
    client.timeout_s = PATIENCE_S if fault.kind.startswith("slow") else client.timeout_s
    try:
        seen: int | None = client.send("rossi").status
    except (http.client.HTTPException, OSError):
        seen = None
    client.timeout_s = 20.0
    service = client.sandbox.service
    assert (status, accepted) == (seen, len(service.sends))
    assert 201 == client.send("rossi").status
    assert accepted + 1 == service.times_accepted(service.sends[-1].marker)
    assert accepted + 1 == service.times_accepted("Diffida n. 7")
    assert 0 == service.times_accepted("Altro")


@pytest.mark.parametrize("fault", FAULTS)
def test_our_client_never_takes_an_accepted_send_for_one_that_may_be_repeated(
    client: Client, fault: tuple[Fault, int | None, int]
) -> None:
    """What it judges `later` or `refused` was not accepted here, and what it judges `sent` was; the rest is unclear."""
    settings = Settings(mailbox=ACCOUNT, base_url=client.sandbox.base_url, scope_host=HOST, allow_plain_http=True)
    secrets = {"email": "", "api_key": "", "username": ACCOUNT, "password": PASSWORD}
    access = Access(settings=settings, secrets=secrets, now=START, token=client.token)
    what = Submission(
        message="m1",
        recipients=(Address("email", "rossi@pec.altro.example"),),
        subject="Diffida n. 7",
        text="Testo",
        options=Options(),
        requested_at=START,
    )
    request = CLIENT.next_request(what, [], access)
    assert request is not None
    client.sandbox.faults.add("POST /send", fault[0])
    client.timeout_s = PATIENCE_S if fault[0].kind.startswith("slow") else client.timeout_s
    judged = judge(CLIENT, request, answered(client, CLIENT.authorise(request, access)))
    possible = {"sent": {1}, "later": {0}, "refused": {0}, "unclear": {0, 1}}[judged.verdict]
    assert client.sandbox.service.times_accepted("Diffida n. 7") in possible
    assert (judged.verdict == "unclear") or (fault[0].kind == "status")
    client.timeout_s = 20.0
    again = judge(CLIENT, request, answered(client, CLIENT.authorise(request, access)))
    assert "sent" == again.verdict


def answered(client: Client, request: Request) -> CallAnswer:
    """Make one call of our client's."""
    try:
        got = client.raw(request.method, request.url, request.body, dict(request.headers))
    except TimeoutError:
        return CallAnswer(at=START, failure="timeout")
    except (http.client.HTTPException, OSError):
        return CallAnswer(at=START, failure="cut")
    if got.status == 302:
        return CallAnswer(at=START, failure="redirected")
    return CallAnswer(
        at=START, status=got.status, headers={k.lower(): v for k, v in got.headers.items()}, body=got.body
    )


def test_credentials_do_not_change_the_marker_of_a_request(client: Client) -> None:
    """The same request is the same after the password was changed; another text is another request."""
    client.send("rossi")
    client.sandbox.mail.provider.accounts[ACCOUNT] = "nuova"
    client.send("rossi", password="nuova")
    client.send("rossi", password="nuova", body="Altro")
    first, second, third = (sent.marker for sent in client.sandbox.service.sends)
    assert first == second
    assert first != third


def test_other_programs_may_order_faults_and_count_sends(client: Client) -> None:
    """By HTTP, below /__sandbox__."""
    ordered = {"operation": "GET /quota", "kind": "status", "status": 503, "times": 2}
    assert 204 == client.call("POST", "/__sandbox__/faults", ordered).status
    assert [503, 503, 200] == [client.get("/quota/INBOX").status for _ in range(3)]
    client.send("silent")
    assert 204 == client.call("POST", "/__sandbox__/advance", {"hours": 24}).status
    assert 3 == client.get("/inbox").said["total"]
    assert {"accepted": 1} == client.call("GET", "/__sandbox__/sends?text=Diffida").said


async def test_it_runs_in_the_callers_own_event_loop() -> None:
    """With the mail servers behind it."""
    async with serve() as sandbox, aiohttp.ClientSession() as session:
        async with session.get(f"{sandbox.base_url}/inbox") as answer:
            assert 401 == answer.status
        assert sandbox.mail.imap_port
