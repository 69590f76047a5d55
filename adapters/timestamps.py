"""RFC 3161 time-stamps: asking an authority for a token, and checking tokens offline.

A token is checked with its certificates as they stood at the time it states, so it goes on holding when they end. Which certificates
were revoked is not asked. What is stamped, and when, is decided in `adapters.stamping`.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from asn1crypto import algos, cms, core, tsp
from cryptography import x509
from rfc3161_client import TimeStampResponse, VerificationError, VerifierBuilder, decode_timestamp_response

from adapters import reaching
from ledger.errors import ConfigurationError, LedgerError

TIMEOUT_S = 30
MAX_REPLY_BYTES = 64 * 1024


class AuthorityError(LedgerError):
    """The time-stamp authority gave no token.

    Attributes:
        is_down: it would give none for anything else either; try again later.
    """

    def __init__(self, message: str = "", *, is_down: bool = False) -> None:
        super().__init__(message)
        self.is_down = is_down


class TokenError(AuthorityError):
    """A time-stamp token is not what it should be."""


# --- one token


def check(token: bytes, digest: bytes, roots: Sequence[x509.Certificate]) -> datetime:
    """Verify a token offline, with its certificates as they stood at the time that it states.

    Args:
        token: DER as the authority gave it.
        digest: SHA-256 of what was stamped.
        roots: the authorities whose word counts.

    Returns:
        The stated time, aware.

    Raises:
        TokenError: it is no token, is over something else, or is not signed by an authority below these roots.
    """
    try:
        response = decode_timestamp_response(_as_response(token))
        verifier = VerifierBuilder(roots=list(roots)).build()
        verifier.verify(response, digest)
    except (VerificationError, ValueError, TypeError, x509.InvalidVersion) as error:
        msg = f"the time-stamp token does not hold: {error}"
        raise TokenError(msg) from error
    _check_imprint(response, digest)
    _check_signer(token)
    return response.tst_info.gen_time.astimezone(UTC)


def _as_response(token: bytes) -> bytes:
    """The token inside a response, its certificates sorted as DER wants them.

    Authorities leave them unsorted, and the parser refuses that. No signature covers their order, and what is stored stays as it came.
    """
    content = cms.ContentInfo.load(token, strict=True)
    if content["content_type"].native != "signed_data":
        msg = "not signed data"
        raise ValueError(msg)
    held = content["content"]["certificates"]
    if held:
        content["content"]["certificates"] = cms.CertificateSet(list(held))
    granted = tsp.PKIStatusInfo({"status": "granted"})
    return bytes(tsp.TimeStampResp({"status": granted, "time_stamp_token": content}).dump())


def _check_imprint(response: TimeStampResponse, digest: bytes) -> None:
    imprint = response.tst_info.message_imprint
    if imprint.hash_algorithm.dotted_string != algos.DigestAlgorithmId.unmap("sha256") or imprint.message != digest:
        msg = f"the token is over {imprint.message.hex()}, not over {digest.hex()}"
        raise TokenError(msg)


def _check_signer(token: bytes) -> None:
    """The signature itself names the certificate it is to be checked with (RFC 5816); that one is the signer's."""
    signed = cms.ContentInfo.load(token)["content"]
    signer = signed["signer_infos"][0]
    name, serial = signer["sid"].chosen["issuer"], signer["sid"].chosen["serial_number"].native
    found = [c.chosen for c in signed["certificates"]]
    own = [c for c in found if c.serial_number == serial and c.issuer == name]
    named = {
        a["type"].native: a["values"][0]["certs"][0]
        for a in signer["signed_attrs"]
        if "signing_cert" in a["type"].native
    }
    v2 = named.get("signing_certificate_v2")
    algorithm = v2["hash_algorithm"]["algorithm"].native if v2 is not None else "sha1"
    expected = next(iter(named.values()))["cert_hash"].native if named else b""
    if not own or hashlib.new(algorithm, own[0].dump()).digest() != expected:
        msg = "the token's signature does not name the certificate of its signer"
        raise TokenError(msg)


class Authority:
    """One time-stamp authority.

    Args:
        url: where it takes RFC 3161 requests.
        roots: certificates that its tokens must lead to; one that does not is refused when it comes.
        nonce: a number never used before.
    """

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        roots: Sequence[x509.Certificate],
        nonce: Callable[[], int] = lambda: secrets.randbits(63),
    ) -> None:
        self.url = url
        self.roots = tuple(roots)
        self._session = session
        self._nonce = nonce

    async def request(self, digest: bytes) -> bytes:
        """A token over a SHA-256 digest: DER exactly as it came, and good.

        Raises:
            AuthorityError: it cannot be reached, or refuses.
            TokenError: what it gave does not hold.
        """
        nonce = self._nonce()
        reply = await self._post(_request(digest, nonce))
        token = _token(reply, nonce)
        check(token, digest, self.roots)
        return token

    async def _post(self, request: bytes) -> bytes:
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._session.post(
                self.url, data=request, headers=headers, timeout=timeout, allow_redirects=False
            ) as reply:
                body = await reply.content.read(MAX_REPLY_BYTES + 1)
                while len(body) <= MAX_REPLY_BYTES and (more := await reply.content.read(MAX_REPLY_BYTES)):
                    body += more
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            msg = f"the time-stamp authority {self.url} cannot be reached: {type(error).__name__}"
            raise AuthorityError(msg, is_down=True) from error
        if reply.status != 200 or len(body) > MAX_REPLY_BYTES:
            msg = f"the time-stamp authority {self.url} answered {reply.status} and {len(body)} bytes"
            raise AuthorityError(msg, is_down=True)
        return body


def _request(digest: bytes, nonce: int) -> bytes:
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}
    request = tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "nonce": nonce, "cert_req": True})
    return bytes(request.dump())


class _Reply(core.Sequence):  # type: ignore[misc]  # published without types
    """RFC 3161 section 2.4.2: a refusal has no token, which asn1crypto's own class asks for."""

    _fields = [("status", tsp.PKIStatusInfo), ("time_stamp_token", cms.ContentInfo, {"optional": True})]


def _token(reply: bytes, nonce: int) -> bytes:
    """The token in a reply to our request."""
    try:
        response = _Reply.load(reply, strict=True)
        status = response["status"]
        if status["status"].native not in {"granted", "granted_with_mods"}:
            why = "; ".join(status["status_string"].native or ()) or status["fail_info"].native or ""
            msg = f"the time-stamp authority refused: {status['status'].native} {why}"
            raise AuthorityError(msg)
        token = response["time_stamp_token"]
        answered = token["content"]["encap_content_info"]["content"].parsed["nonce"].native
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = "the time-stamp authority's answer is no RFC 3161 response"
        raise TokenError(msg) from error
    if answered != nonce:
        msg = f"the token answers nonce {answered}, not ours, {nonce}"
        raise TokenError(msg)
    return bytes(token.dump())


def roots_in(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file.

    Raises:
        ConfigurationError: it cannot be read, or holds none.
    """
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"{path} holds no PEM certificates of a time-stamp authority's root (LEDGER_TSA_ROOTS): {error}"
        raise ConfigurationError(msg) from error


def blocking(url: str, roots: Sequence[x509.Certificate]) -> Callable[[bytes], bytes]:
    """The authority as a plain function for `adapters.evidence.signing`; to be called outside an event loop."""

    async def once(digest: bytes) -> bytes:
        async with aiohttp.ClientSession(connector=reaching.connector()) as session:
            return await Authority(url, session, roots).request(digest)

    return lambda digest: asyncio.run(once(digest))
