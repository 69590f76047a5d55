"""RFC 3161 tokens: from a real authority, and against everything that a token must not be."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import rfc3161_client
from asn1crypto import tsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from pytest_aiohttp import AiohttpServer

from adapters import timestamps
from adapters.timestamps import Authority, AuthorityError, TokenError, check
from tests.adapters.authorities import NO_OPENSSL, Answering, agrees, changed, has_openssl, token_of, unsorted

pytestmark = pytest.mark.skipif(not has_openssl(), reason=NO_OPENSSL)

DATA = b"what is stamped"
DIGEST = hashlib.sha256(DATA).digest()
OTHER = hashlib.sha256(b"something else").digest()


@pytest.fixture
def answering(tmp_path: Path) -> Answering:
    return Answering(tmp_path / "authority")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


@pytest.fixture
async def authority(aiohttp_server: AiohttpServer, answering: Answering, session: aiohttp.ClientSession) -> Authority:
    server = await aiohttp_server(answering.app())
    return Authority(str(server.make_url("/")), session, [answering.root])


async def test_token_states_a_time_that_openssl_confirms(
    authority: Authority, answering: Answering, tmp_path: Path
) -> None:
    """What the authority gives holds for us and for `openssl ts -verify`, and states about now."""
    token = await authority.request(DIGEST)
    assert abs(check(token, DIGEST, [answering.root]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert agrees(tmp_path, token, DATA, answering.root)


async def test_token_is_kept_as_the_authority_wrote_it(authority: Authority, answering: Answering) -> None:
    """Not one byte of a token changes on its way."""
    seen: list[bytes] = []

    def note(reply: bytes) -> bytes:
        seen.append(reply)
        return reply

    answering.change_reply = note
    assert (await authority.request(DIGEST)) in seen[0]


async def test_unsorted_certificates_hold(authority: Authority, answering: Answering, tmp_path: Path) -> None:
    """Certificates in an order that DER forbids stop a strict parser, not us and not openssl; and they are stored so."""
    answering.change_reply = _with_token(unsorted)
    token = await authority.request(DIGEST)
    assert unsorted(token) == token
    with pytest.raises(ValueError, match="ParseError"):
        rfc3161_client.decode_timestamp_response(_response(token))
    assert check(token, DIGEST, [answering.root]).tzinfo is not None
    assert agrees(tmp_path, token, DATA, answering.root)


BEGIN, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC)


async def test_token_holds_after_its_authority_ended(tmp_path: Path) -> None:
    """The certificate was good at the stated time: that is what counts, for openssl with -attime as well."""
    at = datetime(2022, 6, 1, 12, 0, 0, tzinfo=UTC)
    token, root = await token_of(at, DIGEST, begin=BEGIN, end=END)
    assert at == check(token, DIGEST, [root])
    assert agrees(tmp_path, token, DATA, root, at)
    assert not agrees(tmp_path, token, DATA, root)


@pytest.mark.parametrize("at", [BEGIN - timedelta(days=1), END + timedelta(days=1)])
async def test_token_of_a_time_without_certificate_is_refused(at: datetime) -> None:
    """A token that states a time at which its certificate was not good proves nothing."""
    token, root = await token_of(at, DIGEST, begin=BEGIN, end=END)
    with pytest.raises(TokenError, match="does not hold"):
        check(token, DIGEST, [root])


async def test_token_over_something_else_is_refused(authority: Authority, answering: Answering) -> None:
    """A token is good for its own digest only."""
    token = await authority.request(DIGEST)
    with pytest.raises(TokenError):
        check(token, OTHER, [answering.root])


async def test_token_of_an_unknown_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    """Only the roots that were given count, not those in the token."""
    token = await authority.request(DIGEST)
    with pytest.raises(TokenError):
        check(token, DIGEST, [Answering(tmp_path / "other").root])
    with pytest.raises(TokenError):
        check(token, DIGEST, [])


async def test_certificate_for_another_purpose_is_refused(tmp_path: Path) -> None:
    """A key below a trusted root that is not for time-stamps may not make any."""
    token, root = await token_of(datetime.now(UTC), DIGEST, usage=ExtendedKeyUsageOID.CODE_SIGNING)
    with pytest.raises(TokenError, match="purpose"):
        check(token, DIGEST, [root])
    assert not agrees(tmp_path, token, DATA, root)


async def test_certificate_put_in_place_of_the_signers_is_refused(tmp_path: Path) -> None:
    """The signature names its certificate by digest: another one for the same key and number does not pass for it."""
    token, root = await token_of(datetime.now(UTC), DIGEST, twin=True)
    with pytest.raises(TokenError, match="does not name the certificate"):
        check(token, DIGEST, [root])
    assert not agrees(tmp_path, token, DATA, root)


async def test_no_flipped_byte_of_a_token_passes(authority: Authority, answering: Answering) -> None:
    """A changed byte is refused with the one error of tokens, or changes nothing that is said (a certificate nobody needs)."""
    token = await authority.request(DIGEST)
    stamped = check(token, DIGEST, [answering.root])
    for at in range(0, len(token), 7):
        broken = token[:at] + bytes([token[at] ^ 0x41]) + token[at + 1 :]
        try:
            assert stamped == check(broken, DIGEST, [answering.root]), at
        except TokenError:
            continue
        assert _signed_part(token) == _signed_part(broken), at


@pytest.mark.parametrize("junk", [b"", b"\x30", b"\x30\x00", b"<html>", bytes(1000), DATA])
def test_junk_is_no_token(junk: bytes, answering: Answering) -> None:
    """Anything else than a token is refused with the error of tokens."""
    with pytest.raises(TokenError):
        check(junk, DIGEST, [answering.root])


# --- what an authority may answer


async def test_answer_to_another_nonce_is_refused(authority: Authority, answering: Answering) -> None:
    """An old answer played again does not pass for a new one."""
    answering.change_query = lambda query: changed(query, nonce=4711)
    with pytest.raises(TokenError, match="nonce 4711"):
        await authority.request(DIGEST)


async def test_answer_without_nonce_is_refused(authority: Authority, answering: Answering) -> None:
    """An answer that names no nonce may be an old one."""
    answering.change_query = lambda query: changed(query, nonce=None)
    with pytest.raises(TokenError):
        await authority.request(DIGEST)


async def test_answer_over_another_digest_is_refused(authority: Authority, answering: Answering) -> None:
    """An authority that stamps something else than asked gives nothing."""
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": OTHER}
    answering.change_query = lambda query: changed(query, message_imprint=imprint)
    with pytest.raises(TokenError):
        await authority.request(DIGEST)


async def test_refusal_is_told_with_the_authoritys_words(
    aiohttp_server: AiohttpServer, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """An authority that does not take SHA-256 refuses; it is not down, so others need not wait."""
    strict = Answering(tmp_path / "strict", digests="sha512")
    server = await aiohttp_server(strict.app())
    with pytest.raises(AuthorityError, match=r"refused: rejection .*algorithm") as refused:
        await Authority(str(server.make_url("/")), session, [strict.root]).request(DIGEST)
    assert not refused.value.is_down


@pytest.mark.parametrize("reply", [b"", b"<html>sorry</html>", b"\x30\x03\x02\x01\x00"])
async def test_nonsense_is_no_answer(authority: Authority, answering: Answering, reply: bytes) -> None:
    """Whatever stands behind the address, only a response of RFC 3161 is read."""
    answering.change_reply = lambda _: reply
    with pytest.raises(TokenError):
        await authority.request(DIGEST)


async def test_answer_without_end_is_cut(authority: Authority, answering: Answering) -> None:
    """More bytes than any token has are not read."""
    answering.change_reply = lambda _: bytes(timestamps.MAX_REPLY_BYTES + 1)
    with pytest.raises(AuthorityError, match="65537 bytes"):
        await authority.request(DIGEST)


async def test_authority_that_is_down_is_told_from_one_that_refuses(authority: Authority, answering: Answering) -> None:
    """503 and a closed port mean: later."""
    answering.is_up = False
    with pytest.raises(AuthorityError) as unavailable:
        await authority.request(DIGEST)
    authority.url = "http://127.0.0.1:1/"
    with pytest.raises(AuthorityError) as unreachable:
        await authority.request(DIGEST)
    assert (True, True) == (unavailable.value.is_down, unreachable.value.is_down)


def _response(token: bytes) -> bytes:
    """A granted response around a token, byte for byte."""
    body = bytes.fromhex("3003020100") + token
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


def _with_token(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda reply: _response(change(tsp.TimeStampResp.load(reply)["time_stamp_token"].dump()))


def _signed_part(token: bytes) -> bytes:
    """What the signature covers: the statement and the signed attributes."""
    signed = tsp.ContentInfo.load(token)["content"]
    return bytes(signed["encap_content_info"]["content"].contents + signed["signer_infos"][0]["signed_attrs"].contents)
