"""The operator's X.509 seal: its key and certificates, and the manifest it covers; `signing` signs with it.

Out of the box the seal is self-made, and `Sealer.warning` says what that is worth; a bought key with its certificates, as one
PEM file, takes its place. Keys in hardware are left out. The seal says who handed a pack out; what happened is proven by the log.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from ledger.errors import ConfigurationError

SIGNATURE = "META-INF/signature001.p7s"
FILE = "seal.pem"
YEARS = 20
RSA_BITS = 3072
_MANIFEST = """<?xml version="1.0" encoding="UTF-8"?>
<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">
  <asic:SigReference URI="{signature}" MimeType="application/pkcs7-signature"/>
{entries}</asic:ASiCManifest>
"""
_ENTRY = """  <asic:DataObjectReference URI="{uri}" MimeType="{media_type}">
    <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>
    <ds:DigestValue>{digest}</ds:DigestValue>
  </asic:DataObjectReference>
"""
_MEDIA_TYPES = {
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".py": "text/x-python",
    ".txt": "text/plain",
    ".pem": "application/x-pem-file",
    ".eml": "message/rfc822",
    ".tst": "application/vnd.etsi.timestamp-token",
}

SELF_MADE = (
    "This seal was made by the ledger itself: nobody has checked who holds its key. It shows that a pack was not changed since it was "
    "sealed, to a reader who has the root certificate from elsewhere. It is no qualified electronic seal and has no presumption under "
    "eIDAS (Regulation (EU) No 910/2014); for that, buy one and configure its key and certificates."
)
CONFIGURED = (
    "The seal's certificate names {subject} and was issued by {issuer}. Whether it is qualified under eIDAS depends on that issuer; "
    "this software does not check it."
)

Timestamper = Callable[[bytes], bytes]
"""SHA-256 digest -> DER of an RFC 3161 token over it; may block."""
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Sealer(NamedTuple):
    """A key that seals, and its certificates.

    Attributes:
        chain: from the certificate of the key (first) to its root (last).
        is_self_made: nobody but the ledger stands behind it.
    """

    key: PrivateKey
    chain: tuple[x509.Certificate, ...]
    is_self_made: bool

    @property
    def subject(self) -> str:
        return self.chain[0].subject.rfc4514_string()

    @property
    def warning(self) -> str:
        """What this seal is worth, in plain words."""
        return SELF_MADE if self.is_self_made else CONFIGURED.format(subject=self.subject, issuer=self._issuer)

    @property
    def _issuer(self) -> str:
        return self.chain[0].issuer.rfc4514_string()

    def root_pem(self) -> bytes:
        """The root, as it lies in a pack below `trust/`; a copy there vouches for nothing."""
        return self.chain[-1].public_bytes(Encoding.PEM)


def load_or_create(key_folder: Path, configured: Path | None = None) -> Sealer:
    """The seal of this ledger; the self-made one is made at the first call.

    Args:
        configured: one PEM file with a private key without password, its certificate, and the certificates up to its root.

    Raises:
        ConfigurationError: the file is missing, readable by others, incomplete or out of date.
    """
    path = configured or key_folder / FILE
    if configured is None and not path.exists():
        _create(path)
    return _read(path, is_self_made=configured is None)


def _create(path: Path) -> None:
    """Make root and seal; two processes may do so at once, and the first one counts.

    The root's key is dropped: no second certificate can ever be issued under a root that was compared once.
    """
    root_key, key = (rsa.generate_private_key(65537, RSA_BITS) for _ in range(2))
    digest = hashlib.sha256(root_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    mark = digest.hexdigest()[:8]
    root_name = _name(f"Delivery Ledger self-made root {mark}")
    root = _certificate(root_name, root_key.public_key(), root_name, root_key, is_root=True)
    seal = _certificate(
        _name(f"Delivery Ledger self-made seal {mark}"), key.public_key(), root_name, root_key, is_root=False
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    data = private + seal.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with TemporaryDirectory(dir=path.parent) as folder:  # 0700, and gone whatever happens
        part = Path(folder) / path.name
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(part)
        except FileExistsError:
            return


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name, public: rsa.RSAPublicKey, issuer: x509.Name, issuer_key: rsa.RSAPrivateKey, *, is_root: bool
) -> x509.Certificate:
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)  # a reader's clock may be behind
    unused = dict.fromkeys(
        ("key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only"), False
    )
    usage = x509.KeyUsage(
        digital_signature=not is_root, content_commitment=not is_root, key_cert_sign=is_root, **unused
    )
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(identifier, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _read(path: Path, *, is_self_made: bool) -> Sealer:
    try:
        if path.stat().st_mode & 0o077:
            msg = f"{path} can be read by others; repair: chmod 600 {path}"
            raise ConfigurationError(msg)
        data = path.read_bytes()
        key = serialization.load_pem_private_key(data, password=None)
        found = x509.load_pem_x509_certificates(data)
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path} does not hold a private key without password and its certificates, as PEM: {error}"
        raise ConfigurationError(msg) from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        msg = f"{path}: a seal has an RSA or EC key"
        raise ConfigurationError(msg)
    return Sealer(key, _chain(path, key, found), is_self_made)


def _chain(path: Path, key: PrivateKey, found: list[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The certificates in order, from the key's to the root, however they stood in the file."""
    own = [each for each in found if each.public_key() == key.public_key()]
    if not own:
        msg = f"{path}: none of its {len(found)} certificates is that of its private key"
        raise ConfigurationError(msg)
    chain = own[:1]
    while chain[-1].subject != chain[-1].issuer:
        issuers = [each for each in found if each.subject == chain[-1].issuer and each not in chain]
        if not issuers:
            msg = f"{path} lacks the certificate of {chain[-1].issuer.rfc4514_string()}; add all up to the root"
            raise ConfigurationError(msg)
        chain.append(issuers[0])
    ended = [each for each in chain if each.not_valid_after_utc < datetime.now(UTC)]
    if ended:
        msg = f"{path}: the certificate of {ended[0].subject.rfc4514_string()} ended on {ended[0].not_valid_after_utc:%Y-%m-%d}"
        raise ConfigurationError(msg)
    return tuple(chain)


def manifest(members: Mapping[str, bytes]) -> bytes:
    """The ASiCManifest that the seal signs: SHA-256 digests of all members but `mimetype` and what lies below META-INF.

    Source: ETSI EN 319 162-1, annex A.4; same members, same bytes.
    """
    entries = "".join(
        _ENTRY.format(
            uri=quote(path),  # leaves nothing that XML would read as markup
            media_type=_MEDIA_TYPES.get(PurePosixPath(path).suffix, "application/octet-stream"),
            digest=b64encode(hashlib.sha256(members[path]).digest()).decode(),
        )
        for path in sorted(members)
        if path != "mimetype" and not path.startswith("META-INF/")
    )
    return _MANIFEST.format(signature=SIGNATURE, entries=entries).encode()
