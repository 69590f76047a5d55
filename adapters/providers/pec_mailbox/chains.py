"""Whether a certificate was its provider's to sign with at a moment: validity, purpose, chain and revocation.

Everything is decided from what is given; nothing is fetched. Chains are searched within bounds, because what a signature
carries is its maker's choice. Leaves out: the providers' directory, which is open to providers only, so that a chain says
whom an authority has named, not that he is a provider; whoever wants that trusts the providers' own certificates.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from asn1crypto.crl import CertificateList
from asn1crypto.ocsp import OCSPResponse
from asn1crypto.x509 import Certificate
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.authority import CertTrustAnchor
from pyhanko_certvalidator.errors import (
    CRLValidationError,
    ExpiredError,
    InvalidCertificateError,
    NotYetValidError,
    OCSPValidationError,
    PathError,
    RevokedError,
    ValidationError,
)
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import AcceptAllAlgorithms
from pyhanko_certvalidator.revinfo.validate_crl import verify_crl
from pyhanko_certvalidator.revinfo.validate_ocsp import verify_ocsp_response
from pyhanko_certvalidator.validate import async_validate_path

from adapters.providers.pec_mailbox.verdicts import Finding, Revocation

MAX_CHAIN = 6
MAX_STEPS = 64
MAX_CHAINS_TRIED = 8

SIGNING = KeyUsageConstraints(
    key_usage={"digital_signature", "non_repudiation"},
    extd_key_usage={"email_protection"},
    explicit_extd_key_usage_required=False,
)
"""RFC 8550 section 4.4; the same as openssl's purpose `smimesign`."""

Chain = tuple[Certificate, ...]
"""The signer first, the root (or whatever is trusted) last; one certificate when the signer itself is trusted."""


def signer(
    cert: Certificate, held: Sequence[Certificate], roots: tuple[bytes, ...], at: datetime
) -> tuple[Finding, Chain]:
    """Whether a certificate was valid, meant for signing e-mail, and below one of the roots at a moment.

    Args:
        held: certificates that came with the signature; they may link, they are not trusted.
        roots: in DER; one may be the signer's own certificate.

    Returns:
        The finding, and the chain it rests on, () without one.
    """
    if at < cert.not_valid_before:
        return Finding("signer_not_yet_valid", f"its certificate begins {_time(cert.not_valid_before)}"), ()
    if at > cert.not_valid_after:
        return Finding("signer_expired", f"its certificate ended {_time(cert.not_valid_after)}"), ()
    try:
        SIGNING.validate(cert)
    except InvalidCertificateError as error:
        return Finding("signer_other_purpose", str(error)), ()
    if not roots:
        return Finding("signer_unchecked"), ()
    return _chained(cert, held, roots, at)


def revocation(chain: Chain, given: Revocation, signed_at: datetime, moment: datetime) -> Finding:
    """What the given lists and answers say about a chain's certificates.

    Args:
        signed_at: when the signature was made, as far as that is known.
        moment: when it certainly existed.
    """
    # Each speaks for itself: one that cannot be read must not silence another.
    single = [Revocation(crls=(one,)) for one in given.crls] + [Revocation(ocsps=(one,)) for one in given.ocsps]
    known = [status for one in single for status in _statuses(chain, one, moment)]
    ends = sorted(each.ended for each in known if each.ended and each.ended <= moment)
    if ends:
        verdict = "revocation_revoked" if ends[0] <= signed_at else "revocation_later"
        return Finding(verdict, f"revoked {_time(ends[0])}")
    # What was said before the signature tells nothing of what was revoked in between; and lists need not name a certificate that
    # has ended (RFC 5280 section 3.3), so silence then means nothing.
    is_said = any(each.cert is chain[0] and each.made_at >= signed_at for each in known)
    is_good = is_said and moment <= chain[0].not_valid_after
    return Finding("revocation_good" if is_good else "revocation_unknown")


def _chained(
    cert: Certificate, held: Sequence[Certificate], roots: tuple[bytes, ...], at: datetime
) -> tuple[Finding, Chain]:
    failures: list[Finding] = []
    anchors = _by_subject(roots)
    for chain in islice(_chains((cert,), held, anchors, iter(range(MAX_STEPS))), MAX_CHAINS_TRIED):
        context = ValidationContext(
            trust_roots=chain[-1:], moment=at, revocation_mode="none", algorithm_usage_policy=AcceptAllAlgorithms()
        )
        try:
            _finished(async_validate_path(context, _path(chain)))
        except (PathError, ValidationError) as error:
            failures.append(Finding(_REFUSALS.get(type(error), "signer_untrusted"), str(error)))
        else:
            return Finding("signer_trusted"), chain
    name = cert.issuer.human_friendly
    missing = (
        f"nothing leads from its issuer, {name}, to a trusted certificate; is it to be trusted, add it to the store"
    )
    return (failures or [Finding("signer_untrusted", missing)])[0], ()


def _chains(
    chain: Chain, held: Sequence[Certificate], anchors: Mapping[str, Sequence[bytes]], steps: Iterator[int]
) -> Iterator[Chain]:
    """Chains whose names fit; each step taken is one of `steps`, so that cross-signed circles end."""
    last = chain[-1]
    if len(chain) == 1 and last.dump() in anchors.get(last.subject.hashable, ()):
        yield chain
    for anchor in anchors.get(last.issuer.hashable, ()):
        yield (*chain, Certificate.load(anchor))
    for link in held if len(chain) < MAX_CHAIN else ():
        if link.subject == last.issuer and all(link is not other for other in chain):
            if next(steps, None) is None:
                return
            yield from _chains((*chain, link), held, anchors, steps)


@lru_cache(maxsize=8)
def _by_subject(roots: tuple[bytes, ...]) -> dict[str, list[bytes]]:
    """Roots by name; as bytes, because a parsed certificate is parsed on while it is used, and threads share these."""
    found: dict[str, list[bytes]] = {}
    for root in roots:
        found.setdefault(Certificate.load(root).subject.hashable, []).append(root)
    return found


def _path(chain: Chain) -> ValidationPath:
    leaf = chain[0] if len(chain) > 1 else None
    return ValidationPath(CertTrustAnchor(chain[-1]), interm=chain[-2:0:-1], leaf=leaf)


class _Status(NamedTuple):
    """What one list or answer says of a certificate.

    Attributes:
        ended: when it was revoked, or None.
        made_at: when that was said.
    """

    cert: Certificate
    ended: datetime | None
    made_at: datetime


def _statuses(chain: Chain, said: Revocation, moment: datetime) -> list[_Status]:
    """The certificates that one list or answer speaks of."""
    try:
        made_at = _made_at(said)
        context = ValidationContext(
            trust_roots=chain[-1:],
            other_certs=chain,
            # An answer that tells of a later revocation says by it that there was none before.
            moment=max(moment, made_at) if said.ocsps else moment,
            retroactive_revinfo=True,  # a list of a later day still names what was revoked before
            algorithm_usage_policy=AcceptAllAlgorithms(),
            crls=said.crls,
            ocsps=said.ocsps,
        )
        check = verify_crl if said.crls else verify_ocsp_response
        return [
            _Status(cert, ended, made_at) for cert in chain[:-1] for ended in _ended(check(cert, _path(chain), context))
        ]
    except Exception:  # noqa: BLE001  what a library makes of bytes that somebody published must not hide the signature
        return []


def _made_at(said: Revocation) -> datetime:
    at: datetime
    if said.crls:
        at = CertificateList.load(said.crls[0])["tbs_cert_list"]["this_update"].native
    else:
        at = OCSPResponse.load(said.ocsps[0]).response_data["responses"][0]["this_update"].native
    return at


def _ended(check: Coroutine[Any, Any, None]) -> Iterator[datetime | None]:
    """When a certificate was revoked, or None when it was not; nothing when that is not said."""
    try:
        _finished(check)
    except RevokedError as error:
        if not error.is_side_validation:  # that would be the certificate of whoever signed the list
            yield error.revocation_dt
    except (CRLValidationError, OCSPValidationError, PathError, ValidationError):
        return
    else:
        yield None


def _finished(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for, so that no event loop is needed.

    Raises:
        RuntimeError: it does wait.
    """
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    msg = f"{work!r} waits for something"
    raise RuntimeError(msg)


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


_REFUSALS: dict[type[Exception], str] = {ExpiredError: "signer_expired", NotYetValidError: "signer_not_yet_valid"}
