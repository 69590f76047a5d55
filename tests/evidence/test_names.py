"""Looking for a withheld person in an original: in every spelling and wrapping, and leaving out what cannot be searched."""

from __future__ import annotations

import json
from base64 import b64encode
from email.header import Header
from email.message import EmailMessage
from urllib.parse import quote

import pytest

from adapters.evidence.names import People, UnsearchableError, emails_in, senders_of, texts
from ledger.addresses import normal
from ledger.observations import Address

ANNA, BRUNO = Address("email", "anna@pec.colle.example"), Address("email", "Bruno.Verdi@pec.valle.example")
PHONE, POST = Address("phone", "06 12 34 00 01"), Address("postal", "Bruno Verdi\nVia Lunga 7\n00100 Roma")


def people(*hidden: Address, strict: bool = False) -> People:
    return People(frozenset({normal(ANNA)}), hidden, emails_in(["office@sender.example"]), strict)


def mail(body: str, **headers: str) -> bytes:
    message = EmailMessage()
    for name, value in {"From": "office@sender.example", "To": ANNA.value, **headers}.items():
        message[name] = value
    message.set_content(body, cte="base64")
    return message.as_bytes()


def nested(inner: bytes) -> bytes:
    outer = EmailMessage()
    outer["From"], outer["To"] = "provider@relay.example", ANNA.value
    outer.set_content("a receipt")
    outer.add_attachment(inner, maintype="application", subtype="octet-stream", filename="original.eml")
    return outer.as_bytes()


@pytest.mark.parametrize(
    ("hidden", "body"),
    [
        (BRUNO, b"to BRUNO.VERDI@PEC.valle.example"),
        (BRUNO, json.dumps({"to": BRUNO.value}).replace("B", "\\u0042").encode()),
        (BRUNO, b"<to>Bruno.Verdi&#64;pec.valle.example</to>"),
        (BRUNO, f"to={quote(BRUNO.value)}".encode()),
        (BRUNO, mail(f"Dear {BRUNO.value}")),
        (BRUNO, mail("Dear", Cc=BRUNO.value)),
        (BRUNO, mail("Dear", Subject=Header(f"copy for {BRUNO.value} \u00e8", "utf-8").encode())),
        (BRUNO, nested(mail("Dear", Cc=BRUNO.value))),
        (BRUNO, json.dumps({"content": b64encode(mail(f"Dear {BRUNO.value}" + " " * 900)).decode()}).encode()),
        (PHONE, b'{"number":"+31612340001"}'),
        (PHONE, b"0031 6 1234-0001"),
        (PHONE, b"(06) 12.34.00.01"),
        (POST, b"bruno  verdi via lunga 7 00100 ROMA"),
    ],
)
def test_a_hidden_person_is_found_in_any_spelling_and_wrapping(hidden: Address, body: bytes) -> None:
    """No case, no escape, no encoding and no nesting hides an address."""
    assert people(hidden).names_hidden(texts(body))
    assert not people(Address("email", "other@x.example"), Address("phone", "0699887766")).names_hidden(texts(body))


def test_an_address_nobody_knows_counts_as_hidden_where_somebody_was_left_out() -> None:
    """The chosen one, senders and what a mail says it comes from do not."""
    body = mail("posted by provider@relay.example", **{"Reply-To": "reply@relay.example"})
    assert not people(strict=True).names_hidden(texts(mail("Dear")))
    assert people(strict=True).names_hidden(texts(body), senders_of(body))
    assert not people(strict=False).names_hidden(texts(body))
    assert {"office@sender.example", "reply@relay.example"} == senders_of(body)


def test_a_sender_who_is_hidden_is_still_hidden() -> None:
    """Coming from a withheld person names that person."""
    body = mail("I accept").replace(b"office@sender.example", b"bruno.verdi@pec.valle.example")
    assert people(BRUNO, strict=True).names_hidden(texts(body), senders_of(body))


@pytest.mark.parametrize("body", [b"%PDF-1.7\n\0\1\2", bytes(range(256)), nested(b"PK\3\4\0\0")])
def test_what_is_no_text_cannot_be_searched(body: bytes) -> None:
    """Where nobody can look, nobody may say that nothing is there."""
    with pytest.raises(UnsearchableError):
        list(texts(body))


def test_hostile_text_is_searched_in_linear_time() -> None:
    """A megabyte without an address takes no longer than a megabyte with one."""
    for hostile in (b"a" * 1_000_000, b"a." * 500_000, b"a@" * 500_000, b"a@a." * 250_000, b"'" * 1_000_000):
        people(BRUNO, PHONE, strict=True).names_hidden(texts(hostile))


def test_a_mail_within_a_mail_within_a_mail_ends() -> None:
    """Depth is bounded; what lies deeper counts as not searchable."""
    body = mail("Dear")
    for _ in range(12):
        body = nested(body)
    with pytest.raises(UnsearchableError):
        list(texts(body))
