"""How PEC Massiva is called: requests against the published document, tokens, and what an answer to a send means."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS30Validator

from adapters.configuring import convert
from adapters.providers.calling import (
    Access,
    Answer,
    CallFailedError,
    Document,
    Exchange,
    Request,
    Submission,
    Verdict,
    judge,
)
from adapters.providers.pec_massiva import PROVIDER, inbox, quota, statuses, tokens
from adapters.providers.pec_massiva.answers import fields_of
from adapters.providers.pec_massiva.client import CLIENT, rows_request
from adapters.providers.pec_massiva.dispatch import Options
from adapters.providers.pec_massiva.settings import Settings
from ledger.errors import LedgerError
from ledger.observations import Address, Arrival, ArrivalKind

DOCUMENT = json.loads((Path(__file__).parents[1] / "vectors" / "pec_massiva.json").read_bytes())
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRETS = {"email": "hush-e@x.example", "api_key": "hush-k", "username": "hush-u", "password": "hush-p"}
ACCESS = Access(settings=Settings(mailbox="ufficio@pec.example"), secrets=SECRETS, now=NOW, token="hush-t")
SUBMISSION = Submission(
    message="m",
    recipients=(Address("email", "a@pec.example"), Address("email", "b@pec.example")),
    subject="Prova",
    text="<p>Buongiorno</p>",
    text_type="text/html",
    options=Options(),
    requested_at=NOW,
)
TYPES: dict[Verdict, str] = {
    "sent": "submission.accepted",
    "refused": "submission.rejected",
    "later": "dispatch.attempted",
    "unclear": "dispatch.unclear",
}


def valid(schema: str, body: bytes) -> dict[str, Any]:
    """The body, which must fit a schema of the document."""
    value: dict[str, Any] = json.loads(body)
    errors = OAS30Validator({"$ref": f"#/schemas/{schema}", "schemas": DOCUMENT["schemas"]}).iter_errors(value)
    assert [] == [error.message for error in errors]
    return value


def steps(submission: Submission = SUBMISSION, access: Access = ACCESS, verdict: Verdict = "sent") -> list[Request]:
    """All calls of a send, each with the same outcome."""
    done: list[Exchange] = []
    made = []
    while (request := CLIENT.next_request(submission, done, access)) is not None:
        made.append(request)
        done.append(Exchange(operation=request.operation, recipient=request.recipient, verdict=verdict, answer=None))
    return made


def joint() -> Access:
    return replace(ACCESS, settings=Settings(mailbox="ufficio@pec.example", joint=True))


# --- what is asked


@pytest.mark.parametrize("verdict", ["sent", "refused", "unclear"])
def test_each_recipient_has_one_call_whatever_became_of_the_others(verdict: Verdict) -> None:
    """Only so does each have a message_id of its own; nothing is asked twice that may have been taken."""
    made = steps(verdict=verdict)
    assert [0, 1] == [request.recipient for request in made]
    assert [["a@pec.example"], ["b@pec.example"]] == [valid("RequestSend", r.body)["recipient"] for r in made]
    assert all(request.may_send for request in made)


@pytest.mark.parametrize(
    ("access", "options", "calls"),
    [
        (ACCESS, Options(), [0, 1]),
        (ACCESS, Options(joint=True), [None]),
        (joint(), Options(), [None]),
        (joint(), Options(joint=False), [0, 1]),
    ],
)
def test_a_joint_call_is_made_only_where_it_is_asked_for(
    access: Access, options: Options, calls: list[int | None]
) -> None:
    """By the account, or by the send, which knows better."""
    made = steps(replace(SUBMISSION, options=options), access)
    assert calls == [request.recipient for request in made]
    assert ["a@pec.example", "b@pec.example"] == [x for r in made for x in valid("RequestSend", r.body)["recipient"]]


def test_the_body_is_what_the_document_allows_and_what_is_kept_lacks_the_credentials() -> None:
    """The kept body is the same but for user name and password; the example sends a list of data: addresses."""
    documents = (
        Document("a.pdf", "application/pdf", b"%PDF"),
        Document("b", "text/plain; charset=utf-8", b"\xff\x00"),
        Document("c", "no type, at all", b""),
    )
    request = steps(replace(SUBMISSION, documents=documents))[0]
    sent = valid("RequestSend", request.body)
    heads = [each["file"].partition(",")[0] for each in sent["attachments"]]
    assert ["data:application/pdf;base64", "data:text/plain;base64", "data:application/octet-stream;base64"] == heads
    data = [base64.b64decode(each["file"].partition(",")[2], validate=True) for each in sent["attachments"]]
    assert [each.data for each in documents] == data
    assert request.kept is not None
    kept = json.loads(request.kept)
    assert {**kept, "username": "hush-u", "password": "hush-p"} == sent
    assert "hush" not in request.kept.decode()


@given(st.text(), st.text(), st.text(), st.binary())
def test_every_text_makes_a_valid_body(subject: str, text: str, name: str, data: bytes) -> None:
    """Whatever people write."""
    submission = replace(SUBMISSION, subject=subject, text=text, documents=(Document(name, "a/b", data),))
    body = valid("RequestSend", steps(submission)[0].body)
    assert (subject, text, name) == (body["subject"], body["body"], body["attachments"][0]["name"])


@pytest.mark.parametrize(
    ("text", "body"),
    [("a < b & c\n\nd", "a &lt; b &amp; c<br>\n<br>\nd"), ("è\r\n<b>", "è<br>\n&lt;b&gt;"), ("", "")],
)
def test_plain_text_is_sent_as_html_that_shows_it(text: str, body: str) -> None:
    """The service knows HTML only."""
    assert body == json.loads(steps(replace(SUBMISSION, text=text, text_type="text/plain"))[0].body)["body"]


@pytest.mark.parametrize("url", DOCUMENT["hosts"])
def test_every_call_is_one_of_the_document(url: str) -> None:
    """Method, path and header parameters; the token goes with each, the mailbox's credentials by header or body."""
    access = replace(ACCESS, settings=Settings(mailbox="ufficio@pec.example", base_url=url))
    calls = [*steps(access=access), rows_request("2026030210150742"), inbox.message_request("3")]
    for request in calls:
        method, path = DOCUMENT["paths"][request.operation]
        assert method == request.method
        assert re.fullmatch(path, request.url)
        headers = CLIENT.authorise(request, access).headers
        wanted = {name for name, operations in DOCUMENT["header_parameters"].items() if request.operation in operations}
        assert wanted == {name for name in headers if name.startswith("x-")}
        assert "Bearer hush-t" == headers["authorization"]
        assert "hush" not in repr(replace(request, body=b""))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({"sender": "UFFICIO@pec.example"}, ""),
        ({"sender": "altro@pec.example"}, "sender"),
        ({"recipients": ()}, "recipient"),
        ({"recipients": (Address("phone", "061234"),)}, "e-mail address"),
        ({"recipients": (Address("email", "a b@pec.example"),)}, "e-mail address"),
        ({"subject": "a\nb"}, "one line"),
        ({"text_type": "text/markdown"}, "text/html"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_written(change: dict[str, Any], why: str) -> None:
    """In words that name what is wrong."""
    said = CLIENT.check(replace(SUBMISSION, **change), ACCESS)
    assert bool(why) == bool(said)
    assert why in said


# --- tokens


@pytest.mark.parametrize(
    ("settings", "url", "host"),
    [
        ({}, "https://oauth.openapi.com/tokens", "ws.pecmassiva.com"),
        ({"oauth_version": "v1"}, "https://oauth.openapi.it/token", "ws.pecmassiva.com"),
        (
            {"base_url": "https://test.ws.pecmassiva.com", "oauth_url": "https://test.oauth.openapi.com/"},
            "https://test.oauth.openapi.com/tokens",
            "test.ws.pecmassiva.com",
        ),
        ({"base_url": "http://localhost:1", "scope_host": "ws.x"}, "https://oauth.openapi.com/tokens", "ws.x"),
    ],
)
def test_a_token_is_asked_for_with_the_six_scopes_of_the_host(settings: dict[str, Any], url: str, host: str) -> None:
    """Both generations take e-mail and API key as Basic, scopes and a lifespan."""
    request = tokens.request(replace(ACCESS, settings=Settings(mailbox="u@pec.example", **settings)))
    body = valid("Scopes", request.body)
    assert (url, "POST") == (request.url, request.method)
    assert {scope.format(host=host) for scope in DOCUMENT["scopes"]} == set(body["scopes"])
    assert "hush-e@x.example:hush-k" == base64.b64decode(request.headers["authorization"].split()[1]).decode()
    assert not request.kept
    assert not request.may_send


@pytest.mark.parametrize(
    ("said", "lasts_s"),
    [
        ({"token": "t", "expire": int(NOW.timestamp()) + 3600, "success": True, "error": None}, 3600.0),
        ({"token": "t", "expireAt": "2026-03-02T10:00:00Z", "refreshToken": "r"}, 3600.0),
        ({"token": "t"}, 86_400.0),
        ({"token": "t", "expireAt": "soon"}, 86_400.0),
    ],
)
def test_a_token_holds_as_long_as_both_generations_say(said: dict[str, Any], lasts_s: float) -> None:
    """A UNIX time in the first, an ISO time in the second; what nobody says is what was asked for."""
    assert ("t", lasts_s) == tokens.read(Answer(at=NOW, status=200, body=json.dumps(said).encode()))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (406, b'{"success": false, "message": "missing scopes array", "error": 110, "data": null}'),
        (422, b'{"success": false, "message": "invalid scopes", "error": 90, "data": null}'),
        (200, b'{"success": true}'),
        (200, b"<html>"),
        (401, b'{"token": "t"}'),
    ],
)
def test_no_token_is_a_failure_that_quotes_nothing(status: int, body: bytes) -> None:
    """The text names the status and the error's number only."""
    with pytest.raises(CallFailedError, match=str(status)) as raised:
        tokens.read(Answer(at=NOW, status=status, body=body))
    assert "scopes" not in str(raised.value)


# --- what an answer means

ANSWERED = [
    (201, {"success": True, "sent": 1, "message_id": "2026030210150742"}, "sent", "ok"),
    (200, {"success": True, "sent": 1, "message_id": "2026030210150742"}, "sent", "ok"),
    (201, {"success": True, "sent": 0, "message_id": "2026030210150742"}, "unclear", "partial"),
    (201, {"success": True, "message_id": "error occurred connecting to SMTP: no"}, "unclear", "contradiction"),
    (201, {"success": True, "message_id": ""}, "unclear", "contradiction"),
    (401, {"success": True, "message_id": "1"}, "unclear", "contradiction"),
    (400, {"success": False, "sent": 1, "message": "Post parameter is not valid"}, "unclear", "contradiction"),
    (201, {"success": False, "message_id": "error occurred connecting to SMTP: no"}, "unclear", "smtp"),
    (400, {"success": False, "message": "Post parameter is not valid"}, "refused", "parameter"),
    (201, {"success": False, "message": "Post parameter is not valid"}, "refused", "parameter"),
    (401, {"success": False, "message": "Authorization is not valid or empty"}, "later", "authorization"),
    (500, {"success": False, "message": "MySQL Error 1205"}, "unclear", "provider_database"),
    (201, {"success": False, "message": "something new"}, "unclear", ""),
    (400, {"success": False, "message": "something new"}, "refused", ""),
    (403, {}, "later", ""),
    (404, {}, "refused", ""),
    (413, {}, "refused", ""),
    (418, {}, "refused", ""),
    (429, {}, "later", ""),
    (500, {}, "unclear", ""),
    (503, {}, "unclear", ""),
    (599, {}, "unclear", ""),
    (302, {}, "unclear", ""),
    (204, {}, "unclear", ""),
    (100, {}, "unclear", ""),
]


@pytest.mark.parametrize(("status", "said", "verdict", "code"), ANSWERED)
def test_an_answer_means_one_thing_for_the_sender_and_for_the_events(
    status: int, said: dict[str, Any], verdict: Verdict, code: str
) -> None:
    """What is done after an answer, and what is written of it, come from the same tables."""
    request = steps()[0]
    body = json.dumps(said).encode()
    judged = judge(CLIENT, request, Answer(at=NOW, status=status, body=body))
    assert (verdict, code) == (judged.verdict, judged.code)
    arrival = Arrival(
        provider="pec_massiva",
        account="a",
        operation="send",
        kind=ArrivalKind.POLL,
        observed_at=NOW,
        body=body,
        status=status,
        request=request.kept,
    )
    assert [TYPES[verdict]] == [seen.type for seen in PROVIDER.parse(arrival)]


@pytest.mark.parametrize("row", statuses.ERRORS, ids=lambda row: row.word)
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_every_known_sentence_is_judged_whatever_status_it_comes_with(status: int, row: Any) -> None:
    """As its retry class says; the events say the same."""
    body = json.dumps({"success": False, "message": row.word}).encode()
    request = steps()[0]
    verdict = judge(CLIENT, request, Answer(at=NOW, status=status, body=body)).verdict
    assert {"never": "refused", "unclear": "unclear"}.get(row.retry, "later") == verdict


@pytest.mark.parametrize(
    ("failure", "verdict"),
    [("unreachable", "later"), ("timeout", "unclear"), ("cut", "unclear"), ("redirected", "unclear")],
)
def test_a_call_without_an_answer_is_repeated_only_if_nothing_was_sent(failure: Any, verdict: Verdict) -> None:
    """A redirection is not followed either."""
    assert verdict == judge(CLIENT, steps()[0], Answer(at=NOW, status=302, failure=failure)).verdict


def test_too_many_calls_wait_as_long_as_they_are_told() -> None:
    """Retry-After, else a minute; wrong credentials wait for the next hour."""

    def retry(status: int, headers: dict[str, str]) -> datetime | None:
        return judge(CLIENT, steps()[0], Answer(at=NOW, status=status, headers=headers)).retry_at

    assert NOW + timedelta(seconds=7) == retry(429, {"retry-after": "7"})
    assert NOW + timedelta(minutes=1) == retry(429, {})
    assert NOW + timedelta(hours=1) == retry(401, {})


def test_one_call_a_second() -> None:
    """The document's limit for POST /send."""
    assert 1.0 == CLIENT.pace_s
    assert not CLIENT.ask(SUBMISSION, (), ACCESS)


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["success", "message", "message_id", "sent", "data", "token", "expire", "expireAt", "usage", "limit", "body", "id"]
)
BODIES = st.one_of(st.binary(max_size=100), st.dictionaries(FIELDS, ANYTHING).map(lambda v: json.dumps(v).encode()))


@given(st.integers(0, 999), BODIES, st.dictionaries(FIELDS, ANYTHING))
def test_any_answer_is_judged_and_none_is_taken_for_a_success(status: int, body: bytes, data: dict[str, Any]) -> None:
    """Whatever the service says: a verdict, a token or none, an e-mail or none, a usage or none."""
    nested = json.dumps({"success": True, "data": data}).encode()
    for each in (body, nested):
        answer = Answer(at=NOW, status=status, body=each)
        judged = judge(CLIENT, steps()[0], answer)
        assert judged.verdict != "sent" or (status in {200, 201} and b"message_id" in each)
        with contextlib.suppress(CallFailedError):
            token, _ = tokens.read(answer)
            assert token
        inbox.read_message(answer)
        usage = quota.usage_of(fields_of(each))
        assert usage is None or (usage.usage_kib >= 0 and usage.limit_kib > 0)


# --- settings


@pytest.mark.parametrize(
    ("given_settings", "why"),
    [
        ({"mailbox": "u@pec.example"}, ""),
        ({}, "mailbox"),
        ({"mailbox": "nobody"}, "mailbox"),
        ({"mailbox": "u@pec.example", "password": "x"}, "password"),
        ({"mailbox": "u@pec.example", "base_url": "http://ws.pecmassiva.com"}, "base_url"),
        ({"mailbox": "u@pec.example", "imap_host": "imap.example", "imap_security": "plain"}, "plain"),
    ],
)
def test_settings_say_what_is_wrong_with_them(given_settings: dict[str, Any], why: str) -> None:
    """Nothing secret is a setting, and no call goes out in the clear."""
    if not why:
        assert isinstance(convert(PROVIDER, given_settings), Settings)
        return
    with pytest.raises(LedgerError, match=why):
        convert(PROVIDER, given_settings)


def test_the_mailbox_is_read_where_an_imap_server_is_named() -> None:
    """By a sweep of its own beside those of the API."""
    assert ["inbox", "mailbox", "quota"] == sorted(sweep.name for sweep in CLIENT.sweeps)
    assert ["imap_host"] == [sweep.setting for sweep in CLIENT.sweeps if sweep.setting]
