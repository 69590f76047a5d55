"""The verdicts on a signature, what they rest on, and what they add up to."""

from __future__ import annotations

from typing import NamedTuple

VERDICTS = {
    "integrity_good": "what was signed is byte for byte what is here",
    "integrity_broken": "what is here is not what was signed",
    "line_ends_restored": "the line ends had been changed on the way; with those of e-mail the signature is good",
    "signature_absent": "there is no signature",
    "signature_cut": "the signature, or a part of it, is missing from this copy",
    "signature_unreadable": "there is a signature that cannot be read, so it proves nothing either way",
    "parts_beside": "parts stand beside the signed one, so that what was read might not be what was signed",
    "signer_trusted": "the signer's certificate was valid at signing time and leads to a trusted authority",
    "signer_untrusted": "no valid chain leads from the signer's certificate to a trusted authority",
    "signer_unchecked": "no trusted authorities are configured, so nobody vouches for the signer",
    "signer_expired": "a certificate had ended when the signature was made",
    "signer_not_yet_valid": "a certificate had not begun when the signature was made",
    "signer_other_purpose": "the signer's certificate is not one for signing e-mail",
    "signer_other_address": "the signer's certificate is for another address than From",
    "signer_not_provider": "the signer's address is not posta-certificata@…, which the rules give every provider",
    "signer_revoked": "a certificate was revoked before the signature was made",
    "time_claimed": "the certificate had ended when this reached us; that it was signed before is the signer's word",
    "time_missing": "the signature does not say when it was made; the time when it reached us was taken",
    "time_ahead": "the signature claims a time after it reached us; the time when it reached us was taken",
    "algorithm_strong": "no method that is used is known to be weak",
    "algorithm_weak": "SHA-1, or an RSA key below 2048 bits, is used: allowed, because providers still do",
    "algorithm_broken": "MD5 or MD2, or an RSA key below 1024 bits, is used: such a signature can be forged",
    "revocation_good": "the authority's list or answer says that the signer's certificate was not revoked",
    "revocation_revoked": "the authority revoked a certificate before the signature was made",
    "revocation_later": "a certificate was revoked between signing and arrival; that it was signed before is the signer's word",
    "revocation_unknown": "nothing is at hand that tells whether the certificates were revoked",
}
"""What each means; they belong into Provider.notes."""

WRONG = frozenset(
    {
        "integrity_broken",
        "signer_untrusted",
        "signer_expired",
        "signer_not_yet_valid",
        "signer_other_purpose",
        "signer_other_address",
        "signer_revoked",
        "algorithm_broken",
    }
)
OPEN = frozenset(
    {
        "signature_absent",
        "signature_cut",
        "signature_unreadable",
        "parts_beside",
        "signer_unchecked",
        "signer_not_provider",
        "revocation_later",
    }
)


class Revocation(NamedTuple):
    """What authorities said about revoked certificates, in DER."""

    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()


class Finding(NamedTuple):
    """A verdict of VERDICTS, and what there is to say about this one case."""

    verdict: str
    detail: str = ""


def holds(tokens: tuple[str, ...]) -> bool | None:
    """Whether a signature is good; None when nothing proves it wrong and something keeps it from being good."""
    if not WRONG.isdisjoint(tokens):
        return False
    return True if OPEN.isdisjoint(tokens) else None
