"""Whom the signatures of originals are judged by, and what authorities say about revoked certificates.

`load` reads the trusted certificates; `capture` asks the authority of one signer, for what it answers to be kept as evidence.
A check itself never asks anybody: what could not be captured stays unknown. Answers are only held against their form here;
who signed them, and what they mean for a signature, is for the check. The addresses asked stand in certificates, which are
other people's words: they are asked once, briefly, without redirects, and only where `reaching` lets us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import aiohttp
from asn1crypto import crl, ocsp, pem
from asn1crypto.x509 import Certificate
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder

from adapters import reaching
from ledger.errors import ConfigurationError

SETTING = "LEDGER_TRUST_ROOTS"
SYSTEM_STORE = Path("/etc/ssl/certs/ca-certificates.crt")
SUFFIXES = frozenset({".pem", ".crt", ".cer", ".der"})

TIMEOUT_S = 10.0
MAX_CRL_BYTES = 16 * 1024 * 1024
MAX_CRL_BESIDE_BYTES = 64 * 1024
"""Of a list where an answer about the one certificate came: a long list takes more than a second to check, and says no more."""
MAX_OCSP_BYTES = 64 * 1024
MAX_ADDRESSES = 3


# --- trusted certificates


def load(path: Path = SYSTEM_STORE) -> tuple[bytes, ...]:
    """The trusted certificates in DER; the same tuple again while no file has changed.

    Args:
        path: a file of certificates (PEM or DER), or a folder of such files. Trusting an authority trusts all that it names;
            the certificates of the signers themselves may stand here instead.

    Raises:
        ConfigurationError: it cannot be read, or holds something else, or nothing.
    """
    try:
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        return _read(path, tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files))
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. {_REPAIR}"
        raise ConfigurationError(msg) from error


@lru_cache(maxsize=8)
def _read(path: Path, files: tuple[tuple[Path, int, int], ...]) -> tuple[bytes, ...]:
    found = tuple(dict.fromkeys(der for file, _, _ in files for der in _certificates(file)))
    if not found:
        msg = f"{path} holds no certificates. {_REPAIR}"
        raise ConfigurationError(msg)
    return found


def _certificates(file: Path) -> list[bytes]:
    data = file.read_bytes()
    try:
        found = [der for kind, _, der in pem.unarmor(data, multiple=True) if kind == "CERTIFICATE"]
    except ValueError:
        found = [data]
    try:
        for der in found:
            Certificate.load(der, strict=True).native  # noqa: B018  reads all of it
    except (ValueError, TypeError) as error:
        msg = f"{file} is no certificate that can be read: {_line(error)}. {_REPAIR}"
        raise ConfigurationError(msg) from error
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


_REPAIR = f"Set {SETTING} to a PEM file, or a folder of them, with the certificates whose signatures count"


# --- what authorities say


class Captured(NamedTuple):
    """What the authority of a signer said; DER, to be kept as evidence.

    Attributes:
        failures: for people: what could not be had, and why.
    """

    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()
    failures: tuple[str, ...] = ()


async def capture(signer: bytes, issuers: Iterable[bytes]) -> Captured:
    """Ask the addresses in a signer's certificate whether it was revoked. Never raises for what they answer.

    An answer about the one certificate is asked for first; lists come beside it when they are short.

    Args:
        signer: its certificate in DER; of a signer that a check found trusted, for anybody can write a certificate.
        issuers: certificates among which that of its authority may be; without it only lists are asked for.
    """
    try:
        cert = Certificate.load(signer)
        lists = [url for point in cert.crl_distribution_points if (url := point.url)]
        request = _ocsp_request(cert, issuers)
        answerers = cert.ocsp_urls if request else []
    except (ValueError, TypeError) as error:
        return Captured(failures=(f"the certificate cannot be read: {_line(error)}",))
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, connector=reaching.connector()) as session:
        asking = _Asking(session)
        ocsps, no_answer = await asking.first(answerers, request, MAX_OCSP_BYTES, _answer)
        crls, no_list = await asking.first(lists, b"", MAX_CRL_BESIDE_BYTES if ocsps else MAX_CRL_BYTES, _crl)
    return Captured(crls, ocsps, (*no_answer, *no_list))


@dataclass(frozen=True, slots=True)
class _Asking:
    session: aiohttp.ClientSession

    async def first(
        self, addresses: Sequence[str], request: bytes, limit: int, read: Callable[[bytes], bytes]
    ) -> tuple[tuple[bytes, ...], list[str]]:
        """The first usable answer of several addresses of the same thing, and what went wrong before it."""
        failures: list[str] = []
        for address in [a for a in addresses if a.startswith(("http://", "https://"))][:MAX_ADDRESSES]:
            try:
                return (read(await self._ask(address, request, limit)),), failures
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TypeError) as error:
                failures.append(f"{address}: {_line(error) or type(error).__name__}")
        return (), failures

    async def _ask(self, address: str, request: bytes, limit: int) -> bytes:
        method, headers = ("POST", {"Content-Type": "application/ocsp-request"}) if request else ("GET", {})
        asked = self.session.request(method, address, data=request or None, headers=headers, allow_redirects=False)
        async with asked as answer:
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > limit:
                    break
            if answer.status != 200 or len(body) > limit:
                msg = f"answered {answer.status} and {len(body)} bytes or more"
                raise ValueError(msg)
        return bytes(body)


def _crl(body: bytes) -> bytes:
    """A list as authorities publish it: DER, and from some of them PEM."""
    der = pem.unarmor(body)[2] if pem.detect(body) else body
    crl.CertificateList.load(der, strict=True)["tbs_cert_list"]["this_update"].native  # noqa: B018  is it one?
    return bytes(der)


def _answer(body: bytes) -> bytes:
    status = ocsp.OCSPResponse.load(body, strict=True)["response_status"].native
    if status != "successful":
        msg = f"answered {status}"
        raise ValueError(msg)
    return body


def _ocsp_request(cert: Certificate, issuers: Iterable[bytes]) -> bytes:
    """A question about a certificate, b"" when its authority's own is not at hand."""
    issued = next((pair for der in issuers if (pair := _issued(cert, der))), None)
    if issued is None:
        return b""
    # SHA-1 names the authority here, as all responders understand it; nothing rests on its strength.
    builder = OCSPRequestBuilder().add_certificate(*issued, hashes.SHA1())  # noqa: S303
    return builder.build().public_bytes(Encoding.DER)


def _issued(cert: Certificate, issuer: bytes) -> tuple[x509.Certificate, x509.Certificate] | None:
    """Both, if the one signed the other: what comes with a signature may have an authority's name and not its key."""
    try:
        if Certificate.load(issuer).subject != cert.issuer:
            return None
        signer, authority = x509.load_der_x509_certificate(cert.dump()), x509.load_der_x509_certificate(issuer)
        signer.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return None
    return signer, authority
