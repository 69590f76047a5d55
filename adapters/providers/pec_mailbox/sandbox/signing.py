"""S/MIME as RFC 6109 section 2.1 wants it: `multipart/signed` with a detached CMS signature over the exact bytes.

Written on asn1crypto, so that SHA-1, which many providers still used, can be made too.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import Literal

from asn1crypto import cms, core
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from adapters.providers.pec_mailbox.sandbox.authority import Identity

Digest = Literal["sha256", "sha1"]
_HASHES: dict[Digest, type[hashes.HashAlgorithm]] = {"sha256": hashes.SHA256, "sha1": hashes.SHA1}
_MICALG = {"sha256": "sha-256", "sha1": "sha1"}


def multipart_signed(entity: bytes, signer: Identity, at: datetime, *, digest: Digest, boundary: str) -> bytes:
    """The header fields and body that wrap a signed MIME entity.

    Args:
        entity: header fields and body with CRLF line ends, and no line end behind it.
        at: the signing time.
    """
    head = (
        'Content-Type: multipart/signed; protocol="application/x-pkcs7-signature"; '
        f'micalg="{_MICALG[digest]}"; boundary="{boundary}"\r\n\r\n'
        "This is an S/MIME signed message\r\n\r\n"
        f"--{boundary}\r\n"
    )
    tail = (
        f"\r\n--{boundary}\r\n"
        'Content-Type: application/x-pkcs7-signature; name="smime.p7s"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n'
    )
    encoded = base64.encodebytes(detached(entity, signer, at, digest)).replace(b"\n", b"\r\n")
    return head.encode() + entity + tail.encode() + encoded + f"\r\n--{boundary}--\r\n".encode()


def detached(content: bytes, signer: Identity, at: datetime, digest: Digest) -> bytes:
    """A CMS SignedData in DER without the content, with the signer's certificate inside."""
    certificate = asn1_x509.Certificate.load(signer.der())
    attributes = cms.CMSAttributes(
        [
            _attribute("content_type", "data"),
            _attribute("signing_time", cms.Time({"utc_time": core.UTCTime(at)})),
            _attribute("message_digest", hashlib.new(digest, content, usedforsecurity=False).digest()),
        ]
    )
    info = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {
                    "issuer_and_serial_number": cms.IssuerAndSerialNumber(
                        {
                            "issuer": certificate.issuer,
                            "serial_number": certificate.serial_number,
                        }
                    )
                }
            ),
            "digest_algorithm": {"algorithm": digest},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "rsassa_pkcs1v15"},
            # RFC 5652 section 5.4: signed as a SET, although it stands under a tag of its own.
            "signature": signer.key.sign(attributes.dump(), PKCS1v15(), _HASHES[digest]()),
        }
    )
    signed = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [{"algorithm": digest}],
            "encap_content_info": {"content_type": "data"},
            "certificates": [certificate],
            "signer_infos": [info],
        }
    )
    encoded: bytes = cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump()
    return encoded


def _attribute(name: str, value: object) -> cms.CMSAttribute:
    return cms.CMSAttribute({"type": name, "values": [value]})
