"""Rules of the trust store, and of asking authorities: real servers on this machine, real certificates."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from asn1crypto import pem
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from adapters import reaching, trust
from adapters.providers.contract import Trust
from adapters.providers.pec_mailbox import signatures
from adapters.providers.pec_mailbox.verdicts import Revocation
from ledger.errors import ConfigurationError
from ledger.observations import Arrival, ArrivalKind
from tests.adapters.publishing import Publishing, publishing
from tests.providers import pec_ca
from tests.providers.pec_ca import ARRIVED_AT

ROOT = pec_ca.authority()
OTHER = pec_ca.authority("Altra radice")
PEM = pem.armor("CERTIFICATE", ROOT.der)

# --- the trust store


def test_certificates_are_read_from_a_file_or_a_folder(tmp_path: Path) -> None:
    """PEM or DER, each certificate once; other files of the folder are left alone."""
    (tmp_path / "one.pem").write_bytes(PEM + pem.armor("CERTIFICATE", OTHER.der) + PEM)
    (tmp_path / "two.CER").write_bytes(ROOT.der)
    (tmp_path / "README").write_text("not a certificate")
    assert (ROOT.der, OTHER.der) == trust.load(tmp_path / "one.pem")
    assert {ROOT.der, OTHER.der} == set(trust.load(tmp_path))


def test_an_unchanged_store_is_not_read_again_and_a_changed_one_is(tmp_path: Path) -> None:
    """The same tuple comes back until a file has another time or size."""
    store = tmp_path / "roots.pem"
    store.write_bytes(PEM)
    first = trust.load(store)
    assert first is trust.load(store)
    store.write_bytes(pem.armor("CERTIFICATE", OTHER.der))
    os.utime(store, (1, 1))
    assert (OTHER.der,) == trust.load(store)


@pytest.mark.parametrize("content", [None, b"", b"not a certificate", pem.armor("CERTIFICATE", b"\x30\x03abc")])
def test_a_store_without_certificates_names_the_setting_and_the_repair(tmp_path: Path, content: bytes | None) -> None:
    """Nothing is trusted by accident: no file, no certificate or a broken one is an error of configuration."""
    store = tmp_path / "roots.pem"
    if content is not None:
        store.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"roots.pem.*Set {trust.SETTING} to a PEM file"):
        trust.load(store)


def test_an_empty_folder_is_no_store(tmp_path: Path) -> None:
    """A folder that holds no certificates is an error too."""
    with pytest.raises(ConfigurationError, match="holds no certificates"):
        trust.load(tmp_path)


def test_the_systems_store_is_read() -> None:
    """By default the authorities count that the system trusts."""
    if not trust.SYSTEM_STORE.exists():
        pytest.skip("this system keeps its authorities elsewhere")
    assert len(trust.load()) > 50


# --- asking authorities


@pytest.fixture
async def authority() -> AsyncIterator[Publishing]:
    async with publishing(ROOT) as made:
        yield made


async def captured(signer: pec_ca.Signer) -> trust.Captured:
    return await trust.capture(signer.der, (OTHER.der, ROOT.der))


async def test_what_an_authority_says_is_captured_and_decides(authority: Publishing) -> None:
    """List and answer come back byte for byte, and a check that is given them calls the signer revoked or not."""
    signer = authority.signer()
    crl, answer = ROOT.revoking(at=ARRIVED_AT), ROOT.answering(signer.cert)
    authority.says("/ca.crl", crl)
    authority.says("/ocsp", answer)
    found = await captured(signer)
    assert trust.Captured((crl,), (answer,), ()) == found
    asked = ocsp.load_der_ocsp_request(next(filter(None, authority.questions)))
    assert signer.cert.serial_number == asked.serial_number
    attested = signatures.attest(
        Arrival(
            provider="pec_mailbox",
            account="a",
            operation="receipt",
            kind=ArrivalKind.MAILBOX,
            observed_at=ARRIVED_AT,
            body=pec_ca.receipt(signer),
        ),
        Trust((ROOT.der,), ARRIVED_AT),
        Revocation(found.crls, found.ocsps),
    )
    assert attested is not None
    assert (True, "revocation_good") == (attested.holds, attested.verdicts[-1])


async def test_a_long_list_comes_only_where_nothing_else_does(
    authority: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside an answer about the one certificate it is not kept; without one it is."""
    monkeypatch.setattr(trust, "MAX_CRL_BESIDE_BYTES", 100)
    signer, crl = authority.signer(), ROOT.revoking()
    authority.says("/ca.crl", crl)
    authority.says("/ocsp", ROOT.answering(signer.cert))
    assert () == (await captured(signer)).crls
    authority.says("/ocsp", b"", 503)
    assert (crl,) == (await captured(signer)).crls


async def test_a_list_in_pem_is_kept_in_der(authority: Publishing) -> None:
    """Some authorities publish text."""
    crl = ROOT.revoking()
    authority.says("/ca.crl", pem.armor("X509 CRL", crl))
    authority.says("/ocsp", b"", 404)
    assert ((crl,), ()) == (await captured(authority.signer()))[:2]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ((b"<html>please log in</html>", 200), ""),
        ((ROOT.revoking(), 500), "answered 500"),
        ((b"", 302), "answered 302"),
        ((bytes(2000), 200), "2000 bytes"),
        ((b"", 200), ""),
    ],
    ids=["a page", "an error", "a redirect", "too much", "nothing"],
)
async def test_an_unusable_answer_is_a_failure_that_is_told(
    authority: Publishing, monkeypatch: pytest.MonkeyPatch, reply: tuple[bytes, int], why: str
) -> None:
    """Nothing is kept of it, nothing is raised, and people are told the address and the reason."""
    monkeypatch.setattr(trust, "MAX_CRL_BYTES", 1500)
    monkeypatch.setattr(trust, "MAX_OCSP_BYTES", 1500)
    authority.says("/ca.crl", *reply)
    authority.says("/ocsp", *reply)
    found = await captured(authority.signer())
    assert ((), (), 2) == (found.crls, found.ocsps, len(found.failures))
    assert found.failures[1].startswith(authority.url("/ca.crl"))
    assert why in found.failures[0]
    assert {"/ca.crl", "/ocsp"} == set(authority.asked)


async def test_an_authority_that_does_not_answer_is_not_waited_for(
    authority: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking ends with the time-out; the verdict stays unknown."""
    monkeypatch.setattr(trust, "TIMEOUT_S", 0.05)
    never = asyncio.Event()

    async def hang() -> web.StreamResponse:
        await never.wait()
        return web.Response()

    authority.reply.update({"/ca.crl": hang, "/ocsp": hang})
    found = await captured(authority.signer())
    never.set()
    assert ((), (), 2) == (found.crls, found.ocsps, len(found.failures))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "10.0.0.1"])
async def test_our_own_network_is_not_asked(authority: Publishing, host: str) -> None:
    """A certificate must not make us call inside, by number, by name or by another spelling of the number."""
    with reaching.allowing(()):
        found = await captured(authority.signer(host=host))
    assert ((), (), 2) == (found.crls, found.ocsps, len(found.failures))
    assert [] == authority.asked


async def test_only_web_addresses_are_asked_and_the_next_when_one_fails(authority: Publishing) -> None:
    """A directory or a file is none of them; one that is down does not hide the other."""
    crl = ROOT.revoking()
    authority.says("/down", b"", 503)
    authority.says("/ca.crl", crl)
    urls = ("ldap://dir.example/cn=ca", "file:///etc/passwd", authority.url("/down"), authority.url("/ca.crl"))
    found = await captured(pec_ca.signer(ROOT, crl_urls=urls, ocsp_urls=("ldap://dir.example/",)))
    assert ((crl,), (), 1) == (found.crls, found.ocsps, len(found.failures))


async def test_without_its_authority_only_the_list_is_asked_for(authority: Publishing) -> None:
    """A question names the authority's key, so it takes the authority's certificate."""
    authority.says("/ca.crl", ROOT.revoking())
    await trust.capture(authority.signer().der, (OTHER.der,))
    assert ["/ca.crl"] == authority.asked


@pytest.mark.parametrize("beside", [pec_ca.namesake("Radice").der, b"\x30\x01"], ids=["a namesake", "junk"])
async def test_a_false_authority_beside_the_true_one_changes_no_question(authority: Publishing, beside: bytes) -> None:
    """Certificates that come with a signature are its maker's choice: a revoked signer must not talk us out of asking."""
    signer = authority.signer()
    answer = ROOT.answering(signer.cert)
    authority.says("/ca.crl", b"", 404)
    authority.says("/ocsp", answer)
    found = await trust.capture(signer.der, (beside, ROOT.der))
    assert (answer,) == found.ocsps
    asked = ocsp.load_der_ocsp_request(authority.questions[0])
    true = ocsp.OCSPRequestBuilder().add_certificate(signer.cert, ROOT.cert, hashes.SHA1()).build()  # noqa: S303  a name
    assert true.issuer_key_hash == asked.issuer_key_hash


async def test_a_certificate_that_is_none_asks_nobody() -> None:
    """Bytes that cannot be read are a failure that is told."""
    assert 1 == len((await trust.capture(b"\x30\x01", ())).failures)
