"""Checks the S/MIME signature of a certified message over its raw bytes, offline.

Integrity, signer and algorithm are separate verdicts (verdicts.py), which add up. The chain is judged
at the time of signing that the signature states, never later than our own clock had it. Leaves out: asking whether a
certificate was revoked (adapters.trust captures what authorities say), and whether the signer is on the list of providers,
which only providers may read: it is held to the address that the rules give every provider.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from itertools import islice
from typing import Any, NamedTuple

from asn1crypto import cms, parser
from asn1crypto.x509 import Certificate
from pyhanko.sign.general import extract_certificate_info, extract_signer_info
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_sig_integrity

from adapters.providers.contract import Attested, Trust
from adapters.providers.pec_mailbox import chains, mime
from adapters.providers.pec_mailbox.chains import Chain
from adapters.providers.pec_mailbox.verdicts import OPEN, VERDICTS, WRONG, Finding, Revocation, holds
from ledger.observations import Arrival, UnreadableError

MAX_SIGNATURE_BYTES = 256 * 1024
MAX_CERTIFICATES = 32
MAX_CARRIED = 8
CLOCK_TOLERANCE = timedelta(minutes=5)

PROVIDER_MAILBOX = "posta-certificata"
"""The local part of the From of all that a provider writes (RFC 6109 section 3)."""

_OPAQUE_TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_DER_SEQUENCE = 0x30
_BROKEN = frozenset({"md2", "md5"})
_WEAK = frozenset({"sha1"})
_RSA_BITS_BROKEN, _RSA_BITS_WEAK = 1024, 2048


class Signed(NamedTuple):
    """A signature as it stood in the e-mail.

    Attributes:
        der: the CMS structure.
        content: the exact bytes it is over; None when they are inside it.
        is_all: no other part stands in the e-mail, so that whatever is read in it is what was signed.
    """

    der: bytes
    content: bytes | None
    is_all: bool


class _Read(NamedTuple):
    """The one signature inside a CMS structure."""

    data: Any
    info: Any
    cert: Certificate
    held: tuple[Certificate, ...]


def attest(arrival: Arrival, trust: Trust, revocation: Revocation | None = None) -> Attested | None:
    """What checking the signature of a mail found; None for anything else than a mail. Never raises.

    Args:
        revocation: captured lists and answers; those that the signature carries count as well.
    """
    if arrival.operation != "receipt":
        return None
    try:
        top = mime.read(arrival.body)
    except UnreadableError:
        return None
    try:
        found = find(arrival.body, top)
        if isinstance(found, str):
            return _attested([Finding(found)], {})
        return _checked(top, found, trust, revocation or Revocation())
    except Exception as error:  # noqa: BLE001  whatever a library makes of hostile bytes, the mail itself is kept
        why = " ".join(f"{type(error).__name__}: {error}"[:500].split())
        return _attested([Finding("signature_unreadable", why)], {})


def certificates(arrival: Arrival) -> tuple[bytes, ...]:
    """The certificates that a mail's signature carries, in DER, the signer's first; () when they cannot be read."""
    try:
        found = find(arrival.body, mime.read(arrival.body))
        read = None if isinstance(found, str) else _read(found.der)
    except Exception:  # noqa: BLE001  as above
        return ()
    return tuple(cert.dump() for cert in (read.cert, *read.held)) if read else ()


def find(mail: bytes, top: mime.Part) -> Signed | str:
    """The outermost signature of a mail, or the verdict on there being none."""
    if top.kind in _OPAQUE_TYPES:
        return _present(Signed(_decoded(mail, top), None, is_all=True))
    outer = _outermost(top)
    if outer is None:
        return "signature_absent"
    beside = next((part for part in outer.parts[1:] if _is_signature(part)), None)
    if beside is None:
        return "signature_absent" if outer.whole else "signature_cut"
    inner, is_all = outer.parts[0], outer is top and len(outer.parts) == 2
    return _present(Signed(_decoded(mail, beside), mail[inner.start : inner.end], is_all))


def _outermost(part: mime.Part) -> mime.Part | None:
    if part.kind == "multipart/signed":
        return part
    return next((found for inner in part.parts if (found := _outermost(inner))), None)


def _is_signature(part: mime.Part) -> bool:
    return part.kind in mime.SIGNATURE_TYPES or part.name == mime.SIGNATURE_NAME


def _decoded(mail: bytes, part: mime.Part) -> bytes:
    if part.end - part.body > 2 * MAX_SIGNATURE_BYTES:
        msg = f"the signature has {part.end - part.body} bytes; at most {2 * MAX_SIGNATURE_BYTES} are read"
        raise ValueError(msg)
    return mime.decoder(part)(mail[part.body : part.end])


def _present(found: Signed) -> Signed | str:
    """DER says at its beginning how long it is, so that a torn one can be told from a wrong one."""
    if found.der[:1] not in {b"", bytes([_DER_SEQUENCE])}:
        return "signature_unreadable"
    try:
        parser.peek(found.der)
    except ValueError:
        return "signature_cut"
    return found


def _checked(top: mime.Part, found: Signed, trust: Trust, given: Revocation) -> Attested:
    read = _read(found.der)
    stated = _signing_time(read.info)
    at, findings = _judged_at(stated, read.cert, trust.moment)
    signer, chain = chains.signer(read.cert, read.held, trust.roots, at)
    revoked = chains.revocation(chain, _both(read, given), at, trust.moment)
    if revoked.verdict == "revocation_revoked":
        signer = Finding("signer_revoked", revoked.detail)
    return _attested(
        [
            *_integrity(read, found.content),
            *([] if found.is_all else [Finding("parts_beside")]),
            signer,
            *_address(read.cert, top.fields.get("from", "")),
            *findings,
            _strength(read, chain),
            revoked,
        ],
        {
            "signer": read.cert.subject.human_friendly,
            "signer_address": ", ".join(_mailboxes(read.cert)),
            "issuer": read.cert.issuer.human_friendly,
            "serial": f"{read.cert.serial_number:x}",
            "signing_time": stated.isoformat() if stated else "",
            "digest": read.info["digest_algorithm"]["algorithm"].native,
        },
    )


def _attested(findings: list[Finding], texts: dict[str, str]) -> Attested:
    tokens = tuple(dict.fromkeys(finding.verdict for finding in findings))
    why = "; ".join(
        VERDICTS[finding.verdict] + (f" ({finding.detail})" if finding.detail else "")
        for finding in findings
        if finding.verdict in WRONG | OPEN
    )
    said = {name: text for name, text in {**texts, "explanation": why}.items() if text}
    return Attested(holds=holds(tokens), verdicts=tokens, texts=said, why=why)


def _read(der: bytes) -> _Read:
    content = cms.ContentInfo.load(der)
    if content["content_type"].native != "signed_data":
        msg = f"not a signature but {content['content_type'].native}"
        raise ValueError(msg)
    data = content["content"]
    if len(data["certificates"]) > MAX_CERTIFICATES:
        msg = f"{len(data['certificates'])} certificates; at most {MAX_CERTIFICATES} are read"
        raise ValueError(msg)
    known = extract_certificate_info(data)
    return _Read(data, extract_signer_info(data), known.signer_cert, tuple(known.other_certs))


def _signing_time(info: Any) -> datetime | None:
    for attribute in info["signed_attrs"]:
        if attribute["type"].native == "signing_time":
            at: datetime = attribute["values"][0].native
            return at.astimezone(UTC)
    return None


def _judged_at(stated: datetime | None, cert: Certificate, moment: datetime) -> tuple[datetime, list[Finding]]:
    """The time of signing as far as it may be believed: it was not after the moment when we had it."""
    if stated is None:
        return moment, [Finding("time_missing")]
    if stated > moment + CLOCK_TOLERANCE:
        return moment, [Finding("time_ahead", stated.isoformat())]
    is_only_claimed = stated <= cert.not_valid_after < moment
    return min(stated, moment), [Finding("time_claimed")] if is_only_claimed else []


def _integrity(read: _Read, content: bytes | None) -> list[Finding]:
    encapsulated = read.data["encap_content_info"]
    if content is None:
        content = bytes(encapsulated["content"])
    why = ""
    for candidate, tokens in _readings(content):
        digest = hashlib.new(read.info["digest_algorithm"]["algorithm"].native, candidate).digest()
        try:
            is_intact, is_valid = validate_sig_integrity(
                read.info, read.cert, encapsulated["content_type"].native, digest
            )
        except SignatureValidationError as error:
            return [Finding("integrity_broken", str(error))]
        if is_intact and is_valid:
            return [Finding(token) for token in tokens]
        why = "the content was changed" if is_valid else "the signature is not one of this signer's key"
    return [Finding("integrity_broken", why)]


def _readings(content: bytes) -> Iterator[tuple[bytes, tuple[str, ...]]]:
    """The bytes as they are; then, because tools save mails with other line ends, with those that e-mail has."""
    yield content, ("integrity_good",)
    canonical = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if canonical != content:
        yield canonical, ("integrity_good", "line_ends_restored")


def _address(cert: Certificate, sender: str) -> list[Finding]:
    mailboxes = _mailboxes(cert)
    if _comparable(parseaddr(sender)[1]) not in map(_comparable, mailboxes):
        return [Finding("signer_other_address", f"{', '.join(mailboxes) or 'none'}, not {sender}")]
    is_provider = parseaddr(sender)[1].rpartition("@")[0].casefold() == PROVIDER_MAILBOX
    return [] if is_provider else [Finding("signer_not_provider")]


def _mailboxes(cert: Certificate) -> list[str]:
    names = cert.subject_alt_name_value or ()
    return [name.chosen.contents.decode("ascii", "replace") for name in names if name.name == "rfc822_name"]


def _comparable(address: str) -> tuple[str, str]:
    local, _, domain = address.rpartition("@")
    return local, domain.casefold()


def _strength(read: _Read, chain: Chain) -> Finding:
    """The weakest method that the verdict rests on; how a root signed itself does not matter."""
    signed = chain[:-1] or (read.cert,)
    digests = {read.info["digest_algorithm"]["algorithm"].native, _digest(read.info["signature_algorithm"])}
    digests |= {_digest(cert["signature_algorithm"]) for cert in chain[:-1]}
    keys = [cert.public_key for cert in (*signed, *chain[-1:])]
    bits = min((key.bit_size for key in keys if key.algorithm.startswith("rsa")), default=_RSA_BITS_WEAK)
    used = f"{', '.join(sorted(filter(None, digests)))}" + (f", RSA {bits}" if bits < _RSA_BITS_WEAK else "")
    if digests & _BROKEN or bits < _RSA_BITS_BROKEN:
        return Finding("algorithm_broken", used)
    return Finding("algorithm_weak" if digests & _WEAK or bits < _RSA_BITS_WEAK else "algorithm_strong", used)


def _digest(algorithm: Any) -> str:
    """The digest that a signature method names, "" when it names none."""
    try:
        return str(algorithm.hash_algo)
    except ValueError:
        return ""


def _both(read: _Read, given: Revocation) -> Revocation:
    """The lists and answers that were captured, and the first few of those that the signature carries."""
    carried = [(choice.name, choice.chosen) for choice in islice(read.data["crls"], MAX_CARRIED)]
    crls = tuple(value.untag().dump() for name, value in carried if name == "crl")
    ocsps = tuple(
        value["other_rev_info"].dump()
        for name, value in carried
        if name == "other" and value["other_rev_info_format"].native == "ocsp_response"
    )
    return Revocation(given.crls + crls, given.ocsps + ocsps)
