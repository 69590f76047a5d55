"""The operator's seal: made once, kept to its owner, and checked by openssl."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import xml.etree.ElementTree as ET
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPrivateNumbers
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from pytest_aiohttp import AiohttpServer

from adapters import timestamps
from adapters.evidence import seal, signing
from ledger.errors import ConfigurationError
from tests.adapters.authorities import NO_OPENSSL, Answering, certificate, has_openssl

needs_openssl = pytest.mark.skipif(not has_openssl(), reason=NO_OPENSSL)

MEMBERS = {"events/0001.json": b"{}", "mimetype": b"application/vnd.etsi.asic-e+zip", "receipts/0001 é&<.eml": b"x"}


@pytest.fixture(scope="module")
def sealer(tmp_path_factory: pytest.TempPathFactory) -> seal.Sealer:
    return seal.load_or_create(tmp_path_factory.mktemp("keys"))


def accepted(folder: Path, data: bytes, signature: bytes, root: bytes) -> bool:
    """Whether the command of the pack's README accepts a seal."""
    top = folder / "pack"
    (top / "META-INF").mkdir(parents=True, exist_ok=True)
    (top / "trust").mkdir(exist_ok=True)
    (top / "META-INF/ASiCManifest001.xml").write_bytes(data)
    (top / "META-INF/signature001.p7s").write_bytes(signature)
    (top / "trust/seal-root.pem").write_bytes(root)
    command = (
        "openssl cms -verify -cades -binary -inform DER -in META-INF/signature001.p7s -content META-INF/ASiCManifest001.xml "
        "-CAfile trust/seal-root.pem -purpose any -out /dev/null"
    )
    return subprocess.run(command.split(), cwd=top, capture_output=True, check=False).returncode == 0


@needs_openssl
def test_openssl_accepts_the_seal_and_no_flipped_byte(sealer: seal.Sealer, tmp_path: Path) -> None:
    """The seal holds under its root, not for a changed manifest, a changed signature, or under another root."""
    data = seal.manifest(MEMBERS)
    signature = signing.sign(data, sealer)
    other = seal.load_or_create(tmp_path / "other")
    flipped = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    broken = signature[:-9] + bytes([signature[-9] ^ 1]) + signature[-8:]
    assert accepted(tmp_path, data, signature, sealer.root_pem())
    assert not accepted(tmp_path, flipped, signature, sealer.root_pem())
    assert not accepted(tmp_path, data, broken, sealer.root_pem())
    assert not accepted(tmp_path, data, signature, other.root_pem())


def test_manifest_names_every_member_with_its_digest(sealer: seal.Sealer) -> None:
    """All members but mimetype stand in it, names escaped as URIs; the same members in any order give the same bytes."""
    data = seal.manifest(MEMBERS)
    asic, ds = "{http://uri.etsi.org/02918/v1.2.1#}", "{http://www.w3.org/2000/09/xmldsig#}"
    entries = ET.fromstring(data).findall(f"{asic}DataObjectReference")  # noqa: S314  our own bytes
    found = {e.attrib["URI"]: b64decode(e.findtext(f"{ds}DigestValue", "")) for e in entries}
    expected = {"events/0001.json": b"{}", "receipts/0001%20%C3%A9%26%3C.eml": b"x"}
    assert {uri: hashlib.sha256(body).digest() for uri, body in expected.items()} == found
    assert data == seal.manifest({**dict(reversed(MEMBERS.items())), "META-INF/x": b""})


def test_self_made_seal_is_kept_and_says_what_it_is_worth(tmp_path: Path) -> None:
    """The second call finds the first one's seal, in a file that only its owner may read, with no eIDAS claim."""
    first = seal.load_or_create(tmp_path)
    assert first.chain == seal.load_or_create(tmp_path).chain
    assert 0o600 == (tmp_path / seal.FILE).stat().st_mode & 0o777
    assert [seal.FILE] == [path.name for path in tmp_path.iterdir()]
    assert first.is_self_made
    assert "no qualified electronic seal" in first.warning


def test_processes_that_begin_at_once_get_one_seal(tmp_path: Path) -> None:
    """Whoever is first makes it; nobody goes on with another."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(seal.load_or_create, [tmp_path] * 4))
    assert 1 == len({each.subject for each in found})


def test_key_that_makes_no_good_signatures_is_refused_before_anything_is_sealed(tmp_path: Path) -> None:
    """Its public half fits the certificate, so that a look at the numbers alone would not tell."""
    seal.load_or_create(tmp_path)
    path = tmp_path / seal.FILE
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    own = key.private_numbers()
    numbers = RSAPrivateNumbers(own.p, own.q, own.d + 2, own.dmp1 + 2, own.dmq1, own.iqmp, own.public_numbers)
    damaged = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    private = damaged.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + path.read_bytes().partition(b"-----END PRIVATE KEY-----\n")[2])
    with pytest.raises(ConfigurationError, match="does not hold a private key"):
        seal.load_or_create(tmp_path)


def _bundle(folder: Path, *, with_root: bool = True, end: datetime | None = None) -> Path:
    """A seal as one buys it: key, root, intermediate and certificate, in no order."""
    root_key, middle_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = certificate("Bought root", root_key)
    middle = certificate("Bought middle", middle_key, (root, root_key), usage=None)
    own = certificate("Acme seal", key, (middle, middle_key), end=end)
    found = ([root] if with_root else []) + [middle, own]
    path = folder / "bought.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in found) + private)
    path.chmod(0o600)
    return path


@needs_openssl
def test_bought_seal_takes_the_place_of_the_self_made_one(tmp_path: Path) -> None:
    """A PEM file with key and certificates in any order seals, with its intermediates inside; the warning names its issuer."""
    found = seal.load_or_create(tmp_path / "keys", _bundle(tmp_path))
    data = seal.manifest(MEMBERS)
    assert accepted(tmp_path, data, signing.sign(data, found), found.root_pem())
    assert not (tmp_path / "keys").exists()
    assert "CN=Bought middle" in found.warning


def test_bought_seal_that_cannot_work_is_refused_with_its_repair(tmp_path: Path) -> None:
    """Read by others, without its root, out of date, or no PEM: each is said before anything is sealed."""
    path = _bundle(tmp_path)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        seal.load_or_create(tmp_path, path)
    with pytest.raises(ConfigurationError, match="lacks the certificate of CN=Bought root"):
        seal.load_or_create(tmp_path, _bundle(tmp_path, with_root=False))
    with pytest.raises(ConfigurationError, match="ended on"):
        seal.load_or_create(tmp_path, _bundle(tmp_path, end=datetime.now(UTC) - timedelta(days=1)))
    path.write_text("nothing")
    with pytest.raises(ConfigurationError, match="does not hold a private key"):
        seal.load_or_create(tmp_path, path)


@needs_openssl
async def test_seal_with_an_authority_carries_its_token(
    aiohttp_server: AiohttpServer, sealer: seal.Sealer, tmp_path: Path
) -> None:
    """B-T: the token over the signature value stands beside it, and openssl accepts the seal as before."""
    answering = Answering(tmp_path / "authority")
    server = await aiohttp_server(answering.app())
    data = seal.manifest(MEMBERS)
    stamper = timestamps.blocking(str(server.make_url("/")), [answering.root])
    signature = await asyncio.to_thread(signing.sign, data, sealer, stamper)
    signer = cms.ContentInfo.load(signature)["content"]["signer_infos"][0]
    tokens = [
        a["values"][0].dump() for a in signer["unsigned_attrs"] if a["type"].native == "signature_time_stamp_token"
    ]
    digest = hashlib.sha256(signer["signature"].native).digest()
    assert timestamps.check(tokens[0], digest, [answering.root])
    assert accepted(tmp_path, data, signature, sealer.root_pem())


def test_seal_does_not_wait_for_an_authority_that_is_down(
    sealer: seal.Sealer, caplog: pytest.LogCaptureFixture
) -> None:
    """Evidence is handed out all the same, without a token, and a line in the log says so."""

    def down(_: bytes) -> bytes:
        raise timestamps.AuthorityError(is_down=True)

    signer = cms.ContentInfo.load(signing.sign(b"x", sealer, down))["content"]["signer_infos"][0]
    assert not signer["unsigned_attrs"]
    assert "signed without a time-stamp" in caplog.text
