"""Signs with the operator's seal: detached CAdES signatures, and PDFs with a PAdES one.

Whoever needs it imports it when something is signed: pyHanko takes a quarter of a second to load, which a server's start does not wait for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO

from asn1crypto import cms, tsp
from asn1crypto.keys import PrivateKeyInfo
from asn1crypto.x509 import Certificate
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes
from pyhanko.sign.timestamps import TimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from adapters.evidence.seal import Sealer, Timestamper
from adapters.timestamps import AuthorityError

LOG = logging.getLogger(__name__)


def sign(data: bytes, sealer: Sealer, timestamper: Timestamper | None = None) -> bytes:
    """A detached CAdES signature over `data`: baseline B-B, B-T with an authority's token over it.

    Blocks, and runs an event loop of its own: call it outside one.

    Returns:
        DER of a CMS ContentInfo.
    """
    attributes = PdfCMSSignedAttributes(signing_time=datetime.now(UTC).replace(microsecond=0))

    def signed(source: _TokenSource | None) -> bytes:
        signing = _signer(sealer).async_sign_general_data(
            data, "sha256", use_cades=True, timestamper=source, signed_attr_settings=attributes
        )
        return bytes(asyncio.run(signing).dump())

    return _stamped(signed, timestamper)


def sign_pdf(pdf: bytes, sealer: Sealer, timestamper: Timestamper | None = None) -> bytes:
    """A PDF with an invisible PAdES signature (B-B; B-T with an authority) that allows only further signatures.

    Blocks, and runs an event loop of its own: call it outside one.
    """
    metadata = PdfSignatureMetadata(
        field_name="Seal", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES, certify=True
    )

    def signed(source: _TokenSource | None) -> bytes:
        signer = PdfSigner(metadata, _signer(sealer), timestamper=source, new_field_spec=SigFieldSpec("Seal"))
        done: BytesIO = signer.sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)))
        return done.getvalue()

    return _stamped(signed, timestamper)


class _TokenSource(TimeStamper):
    """An RFC 3161 authority behind a plain function, as pyHanko wants it."""

    def __init__(self, timestamper: Timestamper) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # pyHanko annotates its other methods
        self._timestamper = timestamper

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        if md_algorithm != "sha256":
            msg = f"tokens are taken over SHA-256, not {md_algorithm}"
            raise ValueError(msg)
        token = await asyncio.to_thread(self._timestamper, message_digest)
        return cms.ContentInfo.load(token)

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        """Never called: `async_timestamp`, its only caller, is replaced."""
        raise NotImplementedError


def _stamped(signed: Callable[[_TokenSource | None], bytes], timestamper: Timestamper | None) -> bytes:
    """A signature with a token of the authority; without one when that gives none, since evidence does not wait for it."""
    if timestamper is not None:
        try:
            return signed(_TokenSource(timestamper))
        except AuthorityError as error:
            LOG.warning("signed without a time-stamp: %s", error)
    return signed(None)


def _signer(sealer: Sealer) -> SimpleSigner:
    """The seal as pyHanko takes it."""
    registry = SimpleCertificateStore()
    registry.register_multiple(_asn1(each) for each in sealer.chain)
    der = sealer.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return SimpleSigner(
        signing_cert=_asn1(sealer.chain[0]), signing_key=PrivateKeyInfo.load(der), cert_registry=registry
    )


def _asn1(certificate: x509.Certificate) -> Certificate:
    return Certificate.load(certificate.public_bytes(Encoding.DER))
