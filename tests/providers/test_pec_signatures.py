"""What a signature on a certified message proves, and what it does not; openssl is asked for a second opinion."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.providers.contract import Attested, Trust
from adapters.providers.pec_mailbox import chains, signatures, verdicts
from adapters.providers.pec_mailbox.sandbox import Clock, Provider, authority, behaviour
from adapters.providers.pec_mailbox.verdicts import Revocation
from ledger.observations import Arrival, ArrivalKind
from tests.adapters.authorities import NO_OPENSSL, has_openssl, openssl
from tests.providers import pec_ca
from tests.providers.pec_ca import ADDRESS, ARRIVED_AT, BEGIN, END, SIGNED_AT

ROOT = pec_ca.authority()
BELOW = pec_ca.authority("Intermedia", ROOT)
OTHER = pec_ca.authority("Altra radice")
SIGNER = pec_ca.signer(ROOT)
FORGER = pec_ca.signer(OTHER)
MINE = "ufficio@mio.example"
DAY = timedelta(days=1)
LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)


def arrival(mail: bytes, operation: str = "receipt") -> Arrival:
    return Arrival(
        provider="pec_mailbox",
        account="a",
        operation=operation,
        kind=ArrivalKind.MAILBOX,
        observed_at=ARRIVED_AT,
        body=mail,
    )


def checked(
    mail: bytes,
    roots: tuple[bytes, ...] = (ROOT.der,),
    moment: datetime = ARRIVED_AT,
    revocation: Revocation | None = None,
) -> Attested:
    found = signatures.attest(arrival(mail), Trust(roots, moment), revocation)
    assert found is not None
    return found


def altered(mail: bytes) -> bytes:
    return mail.replace(b"consegnato", b"c0nsegnato")


# --- a second opinion

CASES: dict[str, tuple[bool, Callable[[], bytes]]] = {
    "good SHA-256": (True, lambda: pec_ca.receipt(SIGNER)),
    "good SHA-1": (True, lambda: pec_ca.receipt(SIGNER, digest="sha1")),
    "good below an intermediate": (True, lambda: pec_ca.receipt(_linked())),
    "saved with other line ends": (True, lambda: pec_ca.receipt(SIGNER).replace(b"\r\n", b"\n")),
    "domain in other case": (True, lambda: pec_ca.receipt(SIGNER, ADDRESS.replace("pec.example", "PEC.Example"))),
    "one byte altered": (False, lambda: altered(pec_ca.receipt(SIGNER))),
    "one byte altered, other line ends": (False, lambda: altered(pec_ca.receipt(SIGNER)).replace(b"\r\n", b"\n")),
    "signed again by another authority's": (False, lambda: pec_ca.receipt(FORGER)),
    "signed again, its root sent along": (False, lambda: pec_ca.receipt(FORGER.sending(FORGER.cert, OTHER.cert))),
    "signer had expired": (False, lambda: pec_ca.receipt(pec_ca.signer(ROOT, end=SIGNED_AT - DAY))),
    "signer not begun": (False, lambda: pec_ca.receipt(pec_ca.signer(ROOT, begin=SIGNED_AT + DAY))),
    "another From": (False, lambda: pec_ca.receipt(SIGNER, "posta-certificata@pec.invalid")),
    "a web server's certificate": (
        False,
        lambda: pec_ca.receipt(pec_ca.signer(ROOT, purpose=ExtendedKeyUsageOID.SERVER_AUTH)),
    ),
    "a key not for signing": (False, lambda: pec_ca.receipt(pec_ca.signer(ROOT, signs=False))),
    "the link is missing": (False, lambda: pec_ca.receipt(pec_ca.signer(BELOW))),
    "a signer that issues certificates": (False, lambda: pec_ca.receipt(_issued_by_a_signer())),
}


def _linked() -> pec_ca.Signer:
    signer = pec_ca.signer(BELOW)
    return signer.sending(signer.cert, BELOW.cert)


def _issued_by_a_signer() -> pec_ca.Signer:
    """A certificate made with a key whose own certificate does not allow that."""
    not_one = pec_ca.authority("Utente", ROOT, may_issue=False)
    signer = pec_ca.signer(not_one)
    return signer.sending(signer.cert, not_one.cert)


@pytest.mark.parametrize("case", CASES)
def test_a_verdict_is_the_one_of_openssl(case: str, tmp_path: Path) -> None:
    """Both call the same signatures good, judged at signing time with the same root and for the address in From."""
    if not has_openssl():
        pytest.skip(NO_OPENSSL)
    is_good, make = CASES[case]
    mail = make()
    assert (is_good, is_good) == (checked(mail).holds, _openssl_agrees(tmp_path, mail))


def _openssl_agrees(folder: Path, mail: bytes) -> bool:
    (folder / "mail.eml").write_bytes(mail)
    (folder / "root.pem").write_bytes(ROOT.cert.public_bytes(Encoding.PEM))
    sender = mail.partition(b"From: ")[2].splitlines()[0].decode()
    arguments = ["cms", "-verify", "-in", "mail.eml", "-inform", "SMIME", "-CAfile", "root.pem", "-out", "out"]
    how = ["-purpose", "smimesign", "-attime", str(int(SIGNED_AT.timestamp())), "-verify_email", sender]
    done = subprocess.run(["openssl", *arguments, *how], cwd=folder, capture_output=True, check=False)  # noqa: S607
    return done.returncode == 0


@pytest.mark.parametrize(
    ("how", "holds", "expected"),
    [
        ([], True, {"integrity_good", "algorithm_strong"}),
        (["-md", "sha1"], True, {"integrity_good", "algorithm_weak"}),
        (["-stream"], True, {"integrity_good", "algorithm_strong"}),  # BER of unstated length
        (["-keyopt", "rsa_padding_mode:pss"], True, {"integrity_good", "algorithm_strong"}),
        (["-noattr"], True, {"integrity_good", "time_missing"}),
        (["-keyid"], True, {"integrity_good"}),
        (["-nodetach"], True, {"integrity_good"}),
        (["-nocerts"], None, {"signature_unreadable"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_openssl_signs_is_good(how: list[str], *, holds: bool | None, expected: set[str], tmp_path: Path) -> None:
    """Signatures of another maker are read: every shape that the same tool makes of them."""
    if not has_openssl():
        pytest.skip(NO_OPENSSL)
    signer = pec_ca.signer(ROOT, begin=LONG_AGO, end=FAR_AHEAD)
    key = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "content").write_bytes(pec_ca.content())
    (tmp_path / "signer.pem").write_bytes(signer.cert.public_bytes(Encoding.PEM) + key)
    openssl(tmp_path, "cms", "-sign", "-in", "content", "-signer", "signer.pem", "-from", ADDRESS, "-out", "eml", *how)
    found = checked((tmp_path / "eml").read_bytes(), moment=datetime.now(UTC))
    assert (holds, set()) == (found.holds, expected - set(found.verdicts))


# --- integrity


def test_a_good_signature_is_good_in_each_respect() -> None:
    """Integrity, signer and method are told apart, and who signed when stands in the texts."""
    found = checked(pec_ca.receipt(SIGNER))
    expected = ("integrity_good", "signer_trusted", "algorithm_strong", "revocation_unknown")
    assert (True, expected, "") == (found.holds, found.verdicts, found.why)
    assert {
        "signer": "Common Name: Posta Certificata, Organization: Gestore Prova S.p.A., Country: IT",
        "signer_address": ADDRESS,
        "issuer": "Common Name: Radice, Organization: Gestore Prova S.p.A., Country: IT",
        "serial": f"{SIGNER.cert.serial_number:x}",
        "signing_time": "2026-03-02T09:00:00+00:00",
        "digest": "sha256",
    } == found.texts


def test_changed_line_ends_are_restored_and_said() -> None:
    """A mail saved with bare line feeds is checked with the line ends that e-mail has; the verdict says so."""
    found = checked(pec_ca.receipt(SIGNER).replace(b"\r\n", b"\n"))
    assert ("integrity_good", "line_ends_restored") == found.verdicts[:2]


def test_bytes_that_were_signed_with_bare_line_feeds_are_taken_as_they_are() -> None:
    """What was signed counts, not what a rule says it should have looked like."""
    inner = pec_ca.content().replace(b"\r\n", b"\n")
    mail = pec_ca.mail(pec_ca.signed_part(inner, SIGNER.signature(inner)))
    assert "line_ends_restored" not in checked(mail).verdicts
    assert checked(mail).holds is True


def test_an_altered_byte_breaks_integrity_and_nothing_else() -> None:
    """The signer stays who he is; it says that the content is not what he signed."""
    found = checked(altered(pec_ca.receipt(SIGNER)))
    assert (False, ("integrity_broken", "signer_trusted")) == (found.holds, found.verdicts[:2])
    assert "the content was changed" in found.why


def test_a_signature_of_another_key_is_broken() -> None:
    """Putting the provider's certificate beside a forger's signature does not make it the provider's."""
    inner = pec_ca.content()
    stranger = pec_ca.signer(OTHER, "posta-certificata@altra.example").sending(SIGNER.cert)
    forged = stranger.signature(inner, named=SIGNER.cert)
    found = checked(pec_ca.mail(pec_ca.signed_part(inner, forged)))
    assert (False, "integrity_broken") == (found.holds, found.verdicts[0])


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_flipped_bit_of_what_is_signed_goes_unnoticed(data: st.DataObject) -> None:
    """Any change to the signed bytes makes the signature wrong, whatever it hits."""
    inner = pec_ca.content()
    at = data.draw(st.integers(0, len(inner) - 1))
    changed = inner[:at] + bytes([inner[at] ^ (1 << data.draw(st.integers(0, 7)))]) + inner[at + 1 :]
    found = checked(pec_ca.mail(pec_ca.signed_part(changed, SIGNER.signature(inner))))
    assert (False, "integrity_broken") == (found.holds, found.verdicts[0])


def test_a_content_inside_its_signature_is_checked() -> None:
    """An opaque signature is judged by the same rules over the content that it holds."""
    signature = SIGNER.signature(pec_ca.content(), within=True)
    mail = pec_ca.mail(pec_ca.opaque(signature))
    assert (True, "integrity_good") == (checked(mail).holds, checked(mail).verdicts[0])
    broken = checked(pec_ca.mail(pec_ca.opaque(altered(signature))))
    assert (False, "integrity_broken") == (broken.holds, broken.verdicts[0])


# --- absent, cut, unreadable


def test_an_ordinary_mail_has_no_signature() -> None:
    """It proves nothing and disproves nothing."""
    found = checked(b"From: anna@mail.example\r\nSubject: Ciao\r\n\r\nciao\r\n")
    assert (None, ("signature_absent",)) == (found.holds, found.verdicts)


def test_a_signature_that_was_taken_away_is_absent() -> None:
    """A whole multipart/signed without its second part is a copy without signature, not a wrong one."""
    whole = pec_ca.mail(pec_ca.signed_part(pec_ca.content(), b""))
    head, _, _ = whole.partition(b"\r\n--out\r\nContent-Type: application/x-pkcs7-signature")
    assert ("signature_absent",) == checked(head + b"\r\n--out--\r\n").verdicts


@pytest.mark.parametrize(
    "stays", ["no signature part", "an empty signature", "its first characters", "an elision", "half of it"]
)
def test_a_signature_that_is_cut_is_said_to_be_cut(stays: str) -> None:
    """Copies that were torn or anonymised are neither good nor wrong."""
    head, part, tail = pec_ca.receipt(SIGNER).partition(b"MII")
    before = head.partition(b"\r\n--out\r\nContent-Type: application/x-pkcs7-signature")[0]
    mail = {
        "no signature part": before,
        "an empty signature": head + b"\r\n--out--\r\n",
        "its first characters": head + part + b"\r\n--out--\r\n",
        "an elision": head + b"MII...njA==\r\n\r\n--out--\r\n",
        "half of it": head + part + tail[: len(tail) // 2],
    }[stays]
    found = checked(mail)
    assert (None, ("signature_cut",)) == (found.holds, found.verdicts)


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 1))
def test_a_mail_cut_anywhere_is_never_called_forged(share: float) -> None:
    """What is missing cannot prove anything wrong."""
    mail = pec_ca.receipt(SIGNER)
    found = signatures.attest(arrival(mail[: int(share * len(mail))]), Trust((ROOT.der,), ARRIVED_AT))
    assert found is None or found.holds is not False


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_for_a_signature_have_a_verdict(junk: bytes) -> None:
    """No bytes make the check fail, and none that were made up make it good."""
    for signature in (junk, b"\x30" + junk, SIGNER.signature(pec_ca.content())[:200] + junk):
        assert checked(pec_ca.mail(pec_ca.signed_part(pec_ca.content(), signature))).holds is not True


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_signature_never_becomes_an_error(data: st.DataObject) -> None:
    """Whatever a library makes of a changed structure, the answer is a verdict."""
    signature = bytearray(SIGNER.signature(pec_ca.content()))
    signature[data.draw(st.integers(0, len(signature) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    found = checked(pec_ca.mail(pec_ca.signed_part(pec_ca.content(), bytes(signature))))
    assert set(found.verdicts) <= verdicts.VERDICTS.keys()


@pytest.mark.parametrize(
    "signature",
    [
        b"\x30\x80" * 5000,  # deeper than any structure
        b"\x30\x84\x7f\xff\xff\xff",
        b"\x04\x02ab",
        b"\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01",  # data, not signed data
        bytes(3 * 1024 * 1024),
    ],
    ids=["nested", "long", "other type", "other content", "large"],
)
def test_hostile_structures_are_not_read(signature: bytes) -> None:
    """Depth, size and type are bounded."""
    found = checked(pec_ca.mail(pec_ca.signed_part(pec_ca.content(), signature)))
    assert found.holds is None
    assert set(found.verdicts) <= {"signature_unreadable", "signature_cut"}


def test_cross_signed_circles_end() -> None:
    """Authorities that vouch for each other in every combination cost a bounded search."""
    circle = [pec_ca.authority("Cerchio", OTHER, number) for number in range(20)]
    signer = pec_ca.signer(circle[0])
    found = checked(pec_ca.receipt(signer.sending(signer.cert, *(one.cert for one in circle))))
    assert "signer_untrusted" in found.verdicts


@pytest.mark.parametrize("certs", [0, 40])
def test_a_structure_without_its_signer_or_with_a_crowd_is_unreadable(certs: int) -> None:
    """The signer's certificate has to be there, and not many others."""
    found = checked(pec_ca.receipt(SIGNER.sending(*[SIGNER.cert] * certs)))
    assert (None, ("signature_unreadable",)) == (found.holds, found.verdicts)


def test_what_is_no_mail_is_not_attested() -> None:
    """Another operation's bytes, and bytes without a header, are no originals."""
    trust = Trust((ROOT.der,), ARRIVED_AT)
    assert signatures.attest(arrival(pec_ca.receipt(SIGNER), "inbox"), trust) is None
    assert signatures.attest(arrival(b"\x00\x01"), trust) is None


# --- what the signature covers


GENUINE = pec_ca.signed_part(pec_ca.content(b""), SIGNER.signature(pec_ca.content(b"")))
FORGED = pec_ca.attached(pec_ca.daticert("forged@client.example"))


@pytest.mark.parametrize(
    "parts",
    [
        (FORGED, GENUINE),
        (GENUINE, FORGED),
        (GENUINE, pec_ca.signed_part(FORGED, FORGER.signature(FORGED), b"two")),
        (GENUINE, b"Content-Type: text/plain\r\n\r\nchecked by our gateway\r\n"),
    ],
    ids=["before", "behind", "signed by another", "harmless"],
)
def test_a_signature_does_not_lend_itself_to_what_stands_beside_it(parts: tuple[bytes, ...]) -> None:
    """A provider's genuine signature over one part proves nothing of a mail that has others, whoever reads which."""
    found = checked(pec_ca.mail(pec_ca.mixed(*parts)))
    assert (None, ("integrity_good", "parts_beside")) == (found.holds, found.verdicts[:2])


def test_a_third_part_is_beside_the_signed_one() -> None:
    """A signed mail has two parts, the signed one and the signature."""
    head, _, tail = pec_ca.receipt(SIGNER).rpartition(b"--out--")
    assert checked(head + b"--out\r\n" + FORGED + b"--out--" + tail).holds is None


# --- signer and chain


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        ("signed again by another authority's", "signer_untrusted"),
        ("the link is missing", "signer_untrusted"),
        ("a signer that issues certificates", "signer_untrusted"),
        ("signer had expired", "signer_expired"),
        ("signer not begun", "signer_not_yet_valid"),
        ("a web server's certificate", "signer_other_purpose"),
        ("a key not for signing", "signer_other_purpose"),
        ("another From", "signer_other_address"),
    ],
)
def test_what_is_wrong_with_a_signer_has_a_name(case: str, verdict: str) -> None:
    """Each reason has its own verdict, the content stays good, and the reason stands in the text."""
    found = checked(CASES[case][1]())
    assert (False, "integrity_good", True) == (found.holds, found.verdicts[0], verdict in found.verdicts)
    assert verdicts.VERDICTS[verdict] in found.why


def test_without_roots_nobody_vouches_for_the_signer() -> None:
    """That no trust is configured is not held against the receipt, nor for it."""
    found = checked(pec_ca.receipt(SIGNER), roots=())
    assert (None, "signer_unchecked") == (found.holds, found.verdicts[1])
    assert checked(altered(pec_ca.receipt(SIGNER)), roots=()).holds is False


def test_a_trusted_signer_needs_no_authority() -> None:
    """Who trusts the providers' own certificates trusts exactly those, while they are valid."""
    assert checked(pec_ca.receipt(SIGNER), roots=(SIGNER.der,)).holds is True
    late = END + DAY
    assert "signer_expired" in checked(pec_ca.receipt(SIGNER, at=late), (SIGNER.der,), late).verdicts


def test_an_expired_link_is_expired() -> None:
    """The whole chain is judged at signing time, not only its end."""
    link = pec_ca.authority("Scaduta", ROOT, end=SIGNED_AT - DAY)
    signer = pec_ca.signer(link)
    assert "signer_expired" in checked(pec_ca.receipt(signer.sending(signer.cert, link.cert))).verdicts


@pytest.mark.parametrize(
    "sender",
    [
        "posta-certificata@pec.example.invalid",
        "Posta-Certificata@pec.example",
        f'"{ADDRESS}" <forger@mail.example>',
        "=?utf-8?q?posta-certificata=40pec.example?= <forger@mail.example>",
        "",
    ],
)
def test_the_signer_is_the_one_in_from(sender: str) -> None:
    """The address counts, not the name beside it; only its domain is compared without regard to case."""
    found = checked(pec_ca.receipt(SIGNER, sender))
    assert (False, True) == (found.holds, "signer_other_address" in found.verdicts)


def test_a_name_beside_the_address_does_not_matter() -> None:
    """Envelopes say on whose behalf they are sent."""
    assert checked(pec_ca.receipt(SIGNER, f'"Per conto di: anna@pec.example" <{ADDRESS}>')).holds is True


def test_anybodys_certificate_does_not_make_a_provider() -> None:
    """A good signature of an address that no provider has proves who wrote it, not that a provider did."""
    anna = pec_ca.signer(ROOT, "anna@mail.example")
    found = checked(pec_ca.receipt(anna, "anna@mail.example"))
    assert (None, True) == (found.holds, {"signer_trusted", "signer_not_provider"} <= set(found.verdicts))


# --- times


def test_a_certificate_that_ended_since_is_judged_at_signing_time() -> None:
    """A receipt goes on holding; that nothing but the signer's word says when it was signed is told."""
    found = checked(pec_ca.receipt(SIGNER), moment=END + DAY)
    assert (True, True) == (found.holds, "time_claimed" in found.verdicts)


def test_a_signature_made_with_an_ended_certificate_is_not_called_a_claim() -> None:
    """Its own time says that it was too late."""
    assert "time_claimed" not in checked(CASES["signer had expired"][1]()).verdicts


@pytest.mark.parametrize(("at", "verdict"), [(None, "time_missing"), (ARRIVED_AT + DAY, "time_ahead")])
def test_without_a_believable_time_the_arrival_counts(at: datetime | None, verdict: str) -> None:
    """A signature was made before it came, whatever it says."""
    good = checked(pec_ca.receipt(SIGNER, at=at))
    assert (True, True) == (good.holds, verdict in good.verdicts)
    ended = pec_ca.signer(ROOT, end=ARRIVED_AT - timedelta(hours=1))
    assert "signer_expired" in checked(pec_ca.receipt(ended, at=at)).verdicts


def test_a_clock_that_is_a_little_ahead_is_believed() -> None:
    """Five minutes are tolerated; judged is never later than the arrival."""
    assert "time_ahead" not in checked(pec_ca.receipt(SIGNER, at=ARRIVED_AT + timedelta(minutes=4))).verdicts


# --- methods


@pytest.mark.parametrize(
    ("digest", "bits", "holds", "verdict"),
    [
        ("sha256", 2048, True, "algorithm_strong"),
        ("sha1", 2048, True, "algorithm_weak"),
        ("sha256", 1024, True, "algorithm_weak"),
        ("md5", 2048, False, "algorithm_broken"),
    ],
)
def test_weak_methods_are_allowed_and_said_and_broken_ones_refused(
    digest: str, bits: int, *, holds: bool, verdict: str
) -> None:
    """SHA-1 and short keys are what providers still use; MD5 can be forged."""
    signer = pec_ca.signer(ROOT, bits=bits)
    found = checked(pec_ca.receipt(signer, digest=digest))
    assert (holds, True) == (found.holds, verdict in found.verdicts)


# --- revocation

BEFORE, BETWEEN, AFTER = SIGNED_AT - DAY, SIGNED_AT + timedelta(seconds=30), ARRIVED_AT + timedelta(hours=1)


@pytest.mark.parametrize("by", ["list", "answer", "list carried", "answer carried"])
@pytest.mark.parametrize(
    ("since", "holds", "expected"),
    [
        (None, True, {"signer_trusted", "revocation_good"}),
        (AFTER, True, {"signer_trusted", "revocation_good"}),
        (BETWEEN, None, {"signer_trusted", "revocation_later"}),
        (BEFORE, False, {"signer_revoked", "revocation_revoked"}),
    ],
)
def test_revocation_counts_from_its_time(
    by: str, since: datetime | None, *, holds: bool | None, expected: set[str]
) -> None:
    """Revoked before signing is wrong, after arrival nothing; between them it is the signer's word against the list."""
    made_at = ARRIVED_AT + timedelta(hours=2)
    crls = (ROOT.revoking(*([(SIGNER.cert, since)] if since else []), at=made_at),) if "list" in by else ()
    ocsps = (ROOT.answering(SIGNER.cert, since, made_at),) if "answer" in by else ()
    is_carried = "carried" in by
    mail = pec_ca.receipt(SIGNER, carries=(*crls, *map(pec_ca.carried_answer, ocsps)) if is_carried else ())
    found = checked(mail, revocation=None if is_carried else Revocation(crls, ocsps))
    assert (holds, True) == (found.holds, expected <= set(found.verdicts))


@pytest.mark.parametrize("by", ["list", "answer"])
@pytest.mark.parametrize(
    ("made_at", "verdict"),
    [
        (SIGNED_AT - timedelta(minutes=1), "revocation_unknown"),
        (SIGNED_AT, "revocation_good"),
        (ARRIVED_AT + DAY, "revocation_good"),
    ],
)
def test_what_was_said_before_the_signature_tells_nothing_of_it(by: str, made_at: datetime, verdict: str) -> None:
    """In between the certificate may have been revoked, however long a list says that it counts."""
    said = {
        "list": Revocation(crls=(ROOT.revoking(at=made_at),)),
        "answer": Revocation(ocsps=(ROOT.answering(SIGNER.cert, at=made_at),)),
    }
    assert verdict == checked(pec_ca.receipt(SIGNER), revocation=said[by]).verdicts[-1]


@pytest.mark.parametrize("carried", [b"\x30\x00", b"\x30\x03\x02\x01\x00", b"junk", ROOT.revoking()[:-200]])
def test_what_a_signature_carries_does_not_silence_what_was_captured(carried: bytes) -> None:
    """A revoked signer who sends unreadable lists along is still found out, and a good one is not hurt by them."""
    captured = Revocation((carried, ROOT.revoking((SIGNER.cert, BEFORE))), (carried,))
    found = checked(pec_ca.receipt(SIGNER, carries=(b"\x30\x00",) * 20), revocation=captured)
    assert (False, True) == (found.holds, "signer_revoked" in found.verdicts)
    junk = checked(pec_ca.receipt(SIGNER), revocation=Revocation((carried,), (carried,)))
    assert (True, "revocation_unknown") == (junk.holds, junk.verdicts[-1])


def test_a_revoked_link_revokes_what_hangs_on_it() -> None:
    """The list of the root counts for the authorities below it."""
    found = checked(pec_ca.receipt(_linked()), revocation=Revocation((ROOT.revoking((BELOW.cert, BEFORE)),)))
    assert (False, True) == (found.holds, "revocation_revoked" in found.verdicts)


@pytest.mark.parametrize(
    "given",
    [
        Revocation((OTHER.revoking((SIGNER.cert, BEFORE)),)),
        Revocation(ocsps=(OTHER.answering(SIGNER.cert, BEFORE),)),
        Revocation((ROOT.revoking(at=SIGNED_AT - 30 * DAY),)),
        Revocation((pec_ca.authority("Radice", serial=7).revoking()[:-1] + b"\0",)),
    ],
    ids=["another's list", "another's answer", "an old list", "a list with a wrong signature"],
)
def test_only_the_authoritys_own_timely_word_counts(given: Revocation) -> None:
    """What somebody else says, or what was said long before, changes nothing."""
    found = checked(pec_ca.receipt(SIGNER), revocation=given)
    assert (True, "revocation_unknown") == (found.holds, found.verdicts[-1])


def test_silence_about_an_ended_certificate_is_not_good() -> None:
    """Lists forget certificates that have ended."""
    given = Revocation((ROOT.revoking(at=END + DAY),))
    assert "revocation_unknown" in checked(pec_ca.receipt(SIGNER), moment=END + DAY, revocation=given).verdicts


# --- a whole provider

DECEITS = {
    "unsigned": (None, "signature_absent"),
    "stripped": (None, "signature_absent"),
    "cut": (None, "signature_cut"),
    "altered": (False, "integrity_broken"),
    "resigned": (False, "signer_untrusted"),
    "expired": (False, "signer_expired"),
    "impostor": (False, "signer_other_address"),
    "sha1": (True, "algorithm_weak"),
    "unixed": (True, "line_ends_restored"),
}


@pytest.mark.parametrize("recipient", sorted(behaviour.BEHAVIOUR))
def test_of_a_simulated_provider_all_but_the_deceits_is_good(recipient: str) -> None:
    """Each receipt of an independent implementation holds, unless it was made to be found out."""
    provider = Provider({MINE: ""}, clock=Clock(SIGNED_AT))
    text = f"From: {MINE}\r\nTo: {recipient}@altro.example\r\nSubject: Prova\r\nMessage-ID: <m@mio.example>\r\n\r\nciao\r\n"
    provider.submit(MINE, (f"{recipient}@altro.example",), text.encode())
    provider.advance(timedelta(hours=40))
    roots = (authority.root(authority.ROOT).der(),)
    found = [checked(mail.raw, roots, mail.at + timedelta(minutes=1)) for mail in provider.mailboxes[MINE]]
    bounces = [one for one in found if recipient == "bounced" and one.verdicts == ("signature_absent",)]
    others = [one for one in found if one.holds is not True and one not in bounces]
    holds, verdict = DECEITS.get(recipient, (True, "integrity_good"))
    assert [holds] * (holds is not True) == [one.holds for one in others]
    assert verdict in {verdict for one in others or found for verdict in one.verdicts}


# --- the tables


def test_every_verdict_has_a_meaning() -> None:
    """What makes a signature wrong or open is explained, and nothing is both."""
    assert verdicts.WRONG | verdicts.OPEN <= verdicts.VERDICTS.keys()
    assert frozenset() == verdicts.WRONG & verdicts.OPEN


def test_the_certificates_of_a_signature_can_be_had() -> None:
    """The signer's comes first, so that its authority can be asked about it."""
    link = BELOW.cert.public_bytes(Encoding.DER)
    signer = _linked()
    assert (signer.der, link) == signatures.certificates(arrival(pec_ca.receipt(signer)))
    assert () == signatures.certificates(arrival(b"From: a@b.example\r\n\r\nciao\r\n"))
    assert () == signatures.certificates(arrival(b"\x00"))


def test_begin_of_the_signers_validity_is_included() -> None:
    """A certificate is valid from its first to its last second."""
    for at in (BEGIN, END):
        finding, _ = chains.signer(pec_ca.parsed(SIGNER.cert), (), (ROOT.der,), at)
        assert "signer_trusted" == finding.verdict
