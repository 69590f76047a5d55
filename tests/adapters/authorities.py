"""Time-stamp authorities for tests: a real one, `openssl ts` behind a small server with its own root, and one that signs in the past."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from asn1crypto import cms, tsp
from asn1crypto import x509 as asn1_x509
from asn1crypto.keys import PrivateKeyInfo
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.sign.timestamps import DummyTimeStamper

CONFIG = """\
[tsa]
default_tsa = authority
[authority]
serial = serial
signer_cert = signer.pem
certs = chain.pem
signer_key = signer.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.55555.1
digests = {digests}
ess_cert_id_alg = sha256
"""
NO_OPENSSL = "openssl is not installed"
LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)


def has_openssl() -> bool:
    """Whether the real one is there: LibreSSL, which some systems install under its name, knows neither CAdES nor `ts` in full."""
    path = shutil.which("openssl")
    return (
        path is not None and subprocess.run([path, "version"], capture_output=True, check=True).stdout[:7] == b"OpenSSL"
    )


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    *,
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.TIME_STAMPING,
    begin: datetime = LONG_AGO,
    end: datetime | None = None,
    serial: int = 0,
) -> x509.Certificate:
    """A root without `issuer`, else a certificate for one extended key usage, or for issuing when that is None."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_issuer = issuer is None or usage is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end or datetime.now(UTC) + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=is_issuer, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not is_issuer and usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


class Answering:
    """An authority: root, intermediate, signer, and an HTTP handler over `openssl ts -reply`.

    Attributes:
        is_up: else it answers 503.
        change_query: what it does to a request before it answers that.
        change_reply: what it does to its answer.
        requests: how many came.
    """

    def __init__(
        self, folder: Path, digests: str = "sha256", usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.TIME_STAMPING
    ) -> None:
        root_key, middle_key, key = _key(), _key(), _key()
        self.folder = folder
        self.root = certificate("root", root_key)
        middle = certificate("middle", middle_key, (self.root, root_key), usage=None)
        signer = certificate("authority", key, (middle, middle_key))
        self.is_up = True
        self.change_query: Callable[[bytes], bytes] = lambda query: query
        self.change_reply: Callable[[bytes], bytes] = lambda reply: reply
        self.requests = 0
        folder.mkdir()
        (folder / "ts.cnf").write_text(CONFIG.format(digests=digests))
        (folder / "serial").write_text("01\n")
        (folder / "root.pem").write_bytes(self.root.public_bytes(Encoding.PEM))
        (folder / "signer.pem").write_bytes(signer.public_bytes(Encoding.PEM))
        (folder / "chain.pem").write_bytes(middle.public_bytes(Encoding.PEM))
        (folder / "signer.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def reply(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        openssl(self.folder, "ts", "-reply", "-config", "ts.cnf", "-queryfile", "query", "-out", "reply")
        return (self.folder / "reply").read_bytes()

    async def handle(self, request: web.Request) -> web.Response:
        self.requests += 1
        if not self.is_up:
            return web.Response(status=503)
        reply = self.change_reply(self.reply(self.change_query(await request.read())))
        return web.Response(body=reply, content_type="application/timestamp-reply")

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/", self.handle)
        return app


def openssl(folder: Path, *arguments: str) -> str:
    """Run openssl in a folder; what it says.

    Raises:
        subprocess.CalledProcessError: it refuses.
    """
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)  # noqa: S607  the system's
    return (done.stdout + done.stderr).decode()


def agrees(folder: Path, token: bytes, data: bytes, root: x509.Certificate, at: datetime | None = None) -> bool:
    """Whether `openssl ts -verify` accepts a token."""
    (folder / "token").write_bytes(token)
    (folder / "data").write_bytes(data)
    (folder / "tsa-root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    when = ["-attime", str(int(at.timestamp()))] if at else []
    arguments = ["ts", "-verify", "-data", "data", "-token_in", "-in", "token", "-CAfile", "tsa-root.pem", *when]
    try:
        return "Verification: OK" in openssl(folder, *arguments)
    except subprocess.CalledProcessError:
        return False


def unsorted(token: bytes) -> bytes:
    """The same token with its embedded certificates in the order that DER forbids."""
    content = cms.ContentInfo.load(token)
    held = sorted((c.dump() for c in content["content"]["certificates"]), reverse=True)
    content["content"]["certificates"] = cms.CertificateSet(contents=b"".join(held))
    return bytes(content.dump())


def changed(query: bytes, **fields: object) -> bytes:
    """A request with other fields."""
    request = tsp.TimeStampReq.load(query)
    for name, value in fields.items():
        request[name] = value
    return bytes(request.dump(force=True))


async def token_of(
    at: datetime, digest: bytes, *, twin: bool = False, **signed_by: Any
) -> tuple[bytes, x509.Certificate]:
    """A token that states any time, of an authority with any certificate (see `certificate`), and its root.

    Args:
        twin: the token holds another certificate for the same key under the same number.
    """
    root_key, key = _key(), rsa.generate_private_key(65537, 2048)  # the only kind that pyHanko's stand-in signs with
    root = certificate("old root", root_key)
    signer = certificate("old authority", key, (root, root_key), **signed_by)
    private = PrivateKeyInfo.load(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    loaded = asn1_x509.Certificate.load(signer.public_bytes(Encoding.DER))
    token = await DummyTimeStamper(loaded, private, fixed_dt=at).async_timestamp(digest, "sha256")
    if twin:
        other = certificate("old authority", key, (root, root_key), serial=signer.serial_number)
        held = cms.CertificateSet([asn1_x509.Certificate.load(other.public_bytes(Encoding.DER))])
        token["content"]["certificates"] = held
    return bytes(token.dump()), root
