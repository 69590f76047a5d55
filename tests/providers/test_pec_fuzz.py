"""Mails of a PEC mailbox, damaged in every way that mail is: reading and checking them ends well, and no byte is lost.

2,000 examples in a normal run; for more: `LEDGER_FUZZ=100000 python -m pytest -q tests/providers/test_pec_fuzz.py`. An example
depends on its number alone (but for the signatures, whose keys are drawn in each run); one that fails is written to a file.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random

import pytest

from adapters.providers.contract import Trust
from adapters.providers.pec_mailbox import PROVIDER, signatures, verdicts
from adapters.receiving import read
from ledger.decision import Outcome
from ledger.observations import Arrival, ArrivalKind, Observation, UnreadableError
from ledger.types import TYPES
from tests.postgres import Database
from tests.providers import pec_ca, samples
from tests.world import TENANT, world

EXAMPLES = int(os.environ.get("LEDGER_FUZZ", "2000"))
ADMITTED = 150
SHARES = 10
"""The examples are dealt out to this many tests, so that several processes can run them."""

Mutation = Callable[[Random, bytes], bytes]

CLAIMLESS = frozenset({"inbound.received", "channel.unmapped"})


def arrival(mail: bytes) -> Arrival:
    return Arrival(
        provider="pec_mailbox",
        account="a",
        operation="receipt",
        kind=ArrivalKind.MAILBOX,
        observed_at=datetime(2026, 3, 2, tzinfo=UTC),
        body=mail,
    )


# --- what is damaged


@cache
def signed() -> tuple[bytes, bytes]:
    """A receipt with a good signature beside what it covers, and one with the signature around it."""
    file = b"Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nQ29udHJhdHRv\r\n"
    original = b"Subject: Prova\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + file + b"--o--\r\n"
    end = b"--in--\r\n"
    inner = pec_ca.content().removesuffix(end) + b"--in\r\nContent-Type: message/rfc822\r\n\r\n" + original + end
    signer = pec_ca.signer(pec_ca.authority())
    head = b"From: " + pec_ca.ADDRESS.encode() + b"\r\nX-Ricevuta: avvenuta-consegna\r\nMessage-ID: <r@pec.example>\r\n"
    return (
        head + pec_ca.signed_part(inner, signer.signature(inner)),
        head + pec_ca.opaque(signer.signature(inner, within=True)),
    )


@cache
def corpus() -> tuple[bytes, ...]:
    """All sample mails of the folder, and the signed ones as often as all of them, so that signatures are damaged too."""
    folders = [c for suffix in ("", ".words") for c in samples.cases(suffix) if samples.provider_of(c) == "pec_mailbox"]
    mails = [(folder / "body.raw").read_bytes() for folder in folders]
    return (*mails, *signed() * (len(mails) // 2))


# --- how


def _span(rng: Random, mail: bytes, longest: int = 80) -> tuple[int, int]:
    start = rng.randrange(len(mail) + 1)
    return start, min(len(mail), start + rng.randrange(longest))


def _line(rng: Random, mail: bytes) -> tuple[list[bytes], int]:
    lines = mail.splitlines(keepends=True) or [b""]
    return lines, rng.randrange(len(lines))


def flipped(rng: Random, mail: bytes) -> bytes:
    changed = bytearray(mail)
    for _ in range(rng.randint(1, 8) if mail else 0):
        changed[rng.randrange(len(mail))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut_off(rng: Random, mail: bytes) -> bytes:
    return mail[: rng.randrange(len(mail) + 1)]


def cut_out(rng: Random, mail: bytes) -> bytes:
    start, stop = _span(rng, mail, 2000)
    return mail[:start] + mail[stop:]


def spliced(rng: Random, mail: bytes) -> bytes:
    other = rng.choice(corpus())
    return mail[: rng.randrange(len(mail) + 1)] + other[rng.randrange(len(other)) :]


def repeated(rng: Random, mail: bytes) -> bytes:
    start, stop = _span(rng, mail, 2000)
    return mail[:stop] + mail[start:stop] * rng.randint(1, 20) + mail[stop:]


def line_doubled(rng: Random, mail: bytes) -> bytes:
    lines, at = _line(rng, mail)
    return b"".join([*lines[:at], lines[at], *lines[at:]])


def line_dropped(rng: Random, mail: bytes) -> bytes:
    lines, at = _line(rng, mail)
    return b"".join(lines[:at] + lines[at + 1 :])


def line_moved(rng: Random, mail: bytes) -> bytes:
    lines, at = _line(rng, mail)
    moved = lines.pop(at)
    lines.insert(rng.randrange(len(lines) + 1), moved)
    return b"".join(lines)


def header_added(rng: Random, mail: bytes) -> bytes:
    """A header field of some other mail, on top or in the middle of this one."""
    theirs = [line for line in rng.choice(corpus()).splitlines(keepends=True)[:12] if b":" in line]
    lines, at = _line(rng, mail)
    return b"".join([*lines[:at], rng.choice(theirs), *lines[at:]])


def charset_lied(rng: Random, mail: bytes) -> bytes:
    words = (b"utf-8", b"us-ascii", b"iso-8859-1", b"UTF-8", b"utf-16", b"x-none", b"utf-7", b"idna", b"hex")
    lie = b'Content-Type: text/plain; charset="' + rng.choice(words) + b'"'
    for word in words:
        mail = mail.replace(word, rng.choice(words))
    return mail.replace(b"Content-Type: text/plain", lie)


def encoding_lied(rng: Random, mail: bytes) -> bytes:
    lie = rng.choice((b"base64", b"quoted-printable", b"7bit", b"8bit", b"binary", b"x-uuencode", b""))
    lines, at = _line(rng, mail)
    return b"".join([*lines[:at], b"Content-Transfer-Encoding: " + lie + b"\r\n", *lines[at:]])


def recoded(rng: Random, mail: bytes) -> bytes:
    start, stop = _span(rng, mail, 4000)
    return mail[:start] + base64.encodebytes(mail[start:stop]) + mail[stop:]


def nested(rng: Random, mail: bytes) -> bytes:
    """In many wrappers, of which most are deeper than anybody reads."""
    for i in range(rng.choice((1, 2, 7, 9, 60))):
        wrapper = rng.choice((
            b"Content-Type: multipart/mixed; boundary=n%d\r\n\r\n--n%d\r\n" % (i, i),
            b"Content-Type: multipart/report; boundary=n%d\r\n\r\n--n%d\r\n" % (i, i),
            b"X-Trasporto: errore\r\nContent-Type: message/rfc822\r\n\r\n",
        ))  # fmt: skip
        mail = wrapper + mail + (b"\r\n--n%d--\r\n" % i if rng.random() < 0.7 else b"")
    return mail


def nulled(rng: Random, mail: bytes) -> bytes:
    start, stop = _span(rng, mail, 20)
    return mail[:start] + b"\0" * (stop - start) + mail[rng.choice((start, stop)) :]


def garbled(rng: Random, mail: bytes) -> bytes:
    start, stop = _span(rng, mail)
    return mail[:start] + rng.randbytes(stop - start) + mail[stop:]


def line_ends(rng: Random, mail: bytes) -> bytes:
    """All of one kind made another, or each as it falls out."""
    ends = (b"\n", b"\r\n", b"\r", b"\r\r\n", b"\n\r", b"\n\n", b"\xc2\x85")
    plain = mail.replace(b"\r\n", b"\n")
    if rng.random() < 0.5:
        return plain.replace(b"\n", rng.choice(ends))
    return b"".join(line + rng.choice(ends[:2]) for line in plain.split(b"\n"))


def cased(rng: Random, mail: bytes) -> bytes:
    start, stop = _span(rng, mail, 400)
    return mail[:start] + mail[start:stop].swapcase() + mail[stop:]


def bloated(rng: Random, mail: bytes) -> bytes:
    """One byte of it, very often."""
    start = rng.randrange(len(mail)) if mail else 0
    return mail[:start] + mail[start : start + 1] * rng.choice((100, 9000, 140_000)) + mail[start:]


MUTATIONS: tuple[Mutation, ...] = (
    *(flipped, cut_off, cut_out, spliced, repeated, line_doubled, line_dropped, line_moved, header_added),
    *(charset_lied, encoding_lied, recoded, nested, nulled, garbled, line_ends, cased, bloated),
)


def example(number: int) -> bytes:
    rng = Random(number)  # noqa: S311  an example must be the same again
    mail = rng.choice(corpus())
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        mail = rng.choice(MUTATIONS)(rng, mail)
    return mail


# --- what must hold


def observed(mail: bytes) -> tuple[Observation, ...]:
    """What is read; nothing when a person is to look at it."""
    try:
        return PROVIDER.parse(arrival(mail))
    except UnreadableError:
        return ()


def check_words(seen: Observation) -> None:
    """All that may stand in the clear is in the tables; all else can be encoded and stored."""
    assert seen.type in TYPES
    assert {seen.code, seen.reason} <= PROVIDER.words() | {""}
    assert set(seen.notes) <= set(PROVIDER.notes)
    assert len(seen.notes) == len(set(seen.notes))
    named = [d.name for d in seen.documents] + [r.value for r in seen.references]
    told = "".join([*seen.texts.values(), *seen.identity, *seen.content, *named])
    assert "\0" not in told
    told.encode()


def check_documents(seen: Observation) -> None:
    """Digests are whole, or absent."""
    for document in seen.documents:
        assert (len(document.sha256), len(document.sha1), document.size) != (0, 0, 0)
        assert {len(document.sha256), len(document.sha256_base64)} <= {0, 64}
        assert {len(document.sha1), len(document.sha1_base64)} <= {0, 40}


def claims(seen: tuple[Observation, ...]) -> set[object]:
    """What would move a delivery, and whatever a court would read in it."""
    return {
        (o.type, o.code, o.reason, o.recipient, o.occurred, o.content, o.documents)
        for o in seen
        if o.type not in CLAIMLESS
    }


def check_signature(mail: bytes, seen: tuple[Observation, ...]) -> None:
    """Its verdicts are in the table; whatever is under a good signature is what its signer wrote."""
    found = signatures.attest(arrival(mail), Trust((pec_ca.authority().der,), pec_ca.ARRIVED_AT))
    if found is None:
        return
    assert set(found.verdicts) <= set(verdicts.VERDICTS)
    if found.holds:
        assert claims(seen) <= {claim for original in signed() for claim in claims(observed(original))}


def check(number: int) -> None:
    mail = example(number)
    seen = observed(mail)
    for each in seen:
        check_words(each)
        check_documents(each)
    check_signature(mail, seen)
    PROVIDER.recognise("mail", mail)


@pytest.mark.parametrize("share", range(SHARES))
def test_any_damaged_mail_is_read_or_refused(share: int, tmp_path: Path) -> None:
    """Nothing but observations in our words or UnreadableError; no damage makes a signed receipt say something else."""
    for number in range(share, EXAMPLES, SHARES):
        try:
            check(number)
        except Exception as error:
            (tmp_path / "mail.eml").write_bytes(example(number))
            msg = f"example {number}, kept as {tmp_path / 'mail.eml'}"
            raise AssertionError(msg) from error


def test_the_undamaged_signed_receipts_are_good() -> None:
    """Otherwise nothing above would look at what a good signature covers; one with its content inside claims nothing."""
    trust = Trust((pec_ca.authority().der,), pec_ca.ARRIVED_AT)
    found = [(signatures.attest(arrival(mail), trust), len(claims(observed(mail)))) for mail in signed()]
    assert [(True, 1), (True, 0)] == [(attested and attested.holds, count) for attested, count in found]


def test_whatever_is_admitted_is_kept_byte_for_byte(sqlite_database: Database, tmp_path: Path) -> None:
    """Read or refused, matched or waiting: the stored originals are the bytes that came, each once."""
    mails = list(dict.fromkeys(example(number) for number in range(ADMITTED)))
    with world(sqlite_database.url, tmp_path) as found:
        outcomes = found.intake.admit([read(TENANT, arrival(mail)) for mail in mails])
        assert [] == [each for each in outcomes if not isinstance(each, Outcome)]
        events = found.ledger.feed(0, 100_000)
        kept = {one for event in events for one in event.fields.get("artifacts", ())}
        assert sorted(mails) == sorted(found.ledger.artifact(one).body for one in kept)
        assert [] == found.runner.unapplied()
