"""Keys and certificates of the simulated world: a root, the provider's signer, and those that must not be believed.

They are made once per process and named by `SIGNERS`. Leaves out: revocation, and the directory of providers.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOMAIN = "pec.fornitore.example"
MAILBOX = f"posta-certificata@{DOMAIN}"
"""RFC 6109 section 2.1: it stands in From and in the certificate, so that mail programs can compare the two."""

ROOT = "Radice di prova PEC"
"""The one authority that readers are told to trust."""

_LONG = (datetime(2010, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC))
_PAST = (datetime(2010, 1, 1, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC))


class Identity(NamedTuple):
    """A private key and its certificate."""

    key: RSAPrivateKey
    certificate: x509.Certificate

    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@cache
def root(name: str) -> Identity:
    """A certification authority; each name is another one."""
    return _certified(name, _LONG, None, ca=True)


@cache
def signer(name: str) -> Identity:
    """One of SIGNERS."""
    issuer, mailbox, validity = SIGNERS[name]
    return _certified("Fornitore PEC di prova", validity, root(issuer), mailbox=mailbox)


@cache
def tls() -> Identity:
    """For `localhost` and the loopback addresses, under the same root."""
    return _certified("localhost", _LONG, root(ROOT), server=True)


SIGNERS = {  # name -> (its root, the mailbox in its certificate, when it is valid)
    "provider": (ROOT, MAILBOX, _LONG),
    "other_ca": ("Radice sconosciuta", MAILBOX, _LONG),
    "expired": (ROOT, MAILBOX, _PAST),
    "other_mailbox": (ROOT, "posta-certificata@altro.example", _LONG),
}


def _certified(
    name: str,
    validity: tuple[datetime, datetime],
    issuer: Identity | None,
    *,
    ca: bool = False,
    server: bool = False,
    mailbox: str = "",
) -> Identity:
    key = generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuing = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1] - timedelta(seconds=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(_key_usage(ca=ca, server=server), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.public_key()), critical=False)
    )
    if mailbox:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(mailbox)]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    if server:
        loopback = [x509.IPAddress(ipaddress.ip_address(one)) for one in ("127.0.0.1", "::1")]
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), *loopback])
        builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return Identity(key, builder.sign(issuing, hashes.SHA256()))


def _key_usage(*, ca: bool, server: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=not ca and not server,
        key_encipherment=server,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
