"""Authorities, signers and signed receipts for tests: what a provider of certified e-mail sends, and what a forger would.

Authorities have keys that follow from their name; RSA keys of signers are drawn once in a run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from asn1crypto import cms, core
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

BEGIN = datetime(2025, 6, 1, tzinfo=UTC)
END = datetime(2028, 6, 1, tzinfo=UTC)
SIGNED_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ARRIVED_AT = SIGNED_AT + timedelta(minutes=1)
ADDRESS = "posta-certificata@pec.example"
CRL_URL = "http://crl.example/ca.crl"
OCSP_URL = "http://ocsp.example/"

_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
}


def authority_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(name.encode()).digest()[:31]), ec.SECP256R1())


@lru_cache
def signer_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    # Keys of 1024 bits are what this suite calls weak on purpose.
    return rsa.generate_private_key(65537, bits)


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "IT"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Gestore Prova S.p.A."),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


@dataclass(frozen=True)
class Authority:
    """Somebody who issues certificates."""

    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.cert.public_bytes(Encoding.DER)

    def revoking(self, *revoked: tuple[x509.Certificate, datetime], at: datetime = ARRIVED_AT) -> bytes:
        """A list of revoked certificates, made at a time and good for a week."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.cert.subject)
            .last_update(at)
            .next_update(at + timedelta(days=7))
        )
        for cert, since in revoked:
            row = x509.RevokedCertificateBuilder().serial_number(cert.serial_number).revocation_date(since).build()
            builder = builder.add_revoked_certificate(row)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def answering(
        self, cert: x509.Certificate, revoked_since: datetime | None = None, at: datetime = ARRIVED_AT
    ) -> bytes:
        """An OCSP answer about a certificate of this authority."""
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=cert,
            issuer=self.cert,
            algorithm=hashes.SHA1(),  # noqa: S303  names the certificate; nothing rests on it
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked_since else ocsp.OCSPCertStatus.GOOD,
            this_update=at,
            next_update=at + timedelta(days=1),
            revocation_time=revoked_since,
            revocation_reason=None,
        )
        answer = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, self.cert).sign(self.key, hashes.SHA256())
        return answer.public_bytes(Encoding.DER)


def authority(
    name: str = "Radice",
    issuer: Authority | None = None,
    serial: int = 0,
    *,
    end: datetime = END + timedelta(days=3650),
    may_issue: bool = True,
) -> Authority:
    """A root, or below `issuer` one that links.

    Args:
        serial: tells certificates for the same name and key apart.
        may_issue: else it is no authority, whatever it signs.
    """
    key = authority_key(name)
    builder = _certificate(name, key.public_key(), issuer, end=end, serial=serial)
    builder = builder.add_extension(x509.BasicConstraints(ca=may_issue, path_length=None), critical=True)
    return Authority(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def namesake(name: str) -> Authority:
    """An authority with the name of another one and a key of its own."""
    key = authority_key(f"not {name}")
    return Authority(_certificate(name, key.public_key(), None).sign(key, hashes.SHA256()), key)


def _certificate(
    name: str,
    key: Any,
    issuer: Authority | None,
    *,
    begin: datetime = BEGIN - timedelta(days=3650),
    end: datetime = END + timedelta(days=3650),
    serial: int = 0,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer.cert.subject if issuer else _name(name))
        .public_key(key)
        .serial_number(int.from_bytes(hashlib.sha256(f"{name} {begin} {end} {serial}".encode()).digest()[:8]) | 1)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


@dataclass(frozen=True)
class Signer:
    """Who signs receipts.

    Attributes:
        sends: certificates that go along, its own first.
    """

    cert: x509.Certificate
    key: rsa.RSAPrivateKey
    sends: tuple[x509.Certificate, ...]

    @property
    def der(self) -> bytes:
        return self.cert.public_bytes(Encoding.DER)

    def signature(
        self,
        content: bytes,
        digest: str = "sha256",
        at: datetime | None = SIGNED_AT,
        *,
        within: bool = False,
        carries: Sequence[bytes] = (),
        named: x509.Certificate | None = None,
    ) -> bytes:
        """A CMS structure over a content.

        Args:
            within: it holds the content.
            carries: lists that go along, and answers as `carried_answer` makes them.
            named: the certificate it claims to be made with.
        """
        facts = {"content_type": "data", "message_digest": hashlib.new(digest, content).digest()}
        if at:
            facts["signing_time"] = cms.Time({"utc_time": core.UTCTime(at)})
        told = cms.CMSAttributes([cms.CMSAttribute({"type": name, "values": [value]}) for name, value in facts.items()])
        own = parsed(named or self.cert)
        info = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    "issuer_and_serial_number",
                    cms.IssuerAndSerialNumber({"issuer": own.issuer, "serial_number": own.serial_number}),
                ),
                "digest_algorithm": {"algorithm": digest},
                "signed_attrs": told,
                "signature_algorithm": {"algorithm": "rsassa_pkcs1v15"},
                "signature": self.key.sign(told.dump(), padding.PKCS1v15(), _HASHES[digest]()),
            }
        )
        held = [parsed(cert) for cert in self.sends]
        data = {
            "version": "v1",
            "digest_algorithms": [{"algorithm": digest}],
            "encap_content_info": {"content_type": "data", **({"content": content} if within else {})},
            "certificates": [cms.CertificateChoices("certificate", cert) for cert in held],
            "signer_infos": [info],
        }
        if carries:
            data["crls"] = cms.RevocationInfoChoices(contents=b"".join(carries))
        return bytes(cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)}).dump())

    def sending(self, *certs: x509.Certificate) -> Signer:
        """The same signer with other certificates going along."""
        return replace(self, sends=certs)


def signer(
    issuer: Authority,
    address: str = ADDRESS,
    *,
    begin: datetime = BEGIN,
    end: datetime = END,
    bits: int = 2048,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    signs: bool = True,
    crl_urls: Sequence[str] = (CRL_URL,),
    ocsp_urls: Sequence[str] = (OCSP_URL,),
) -> Signer:
    """A provider's signer, as RFC 6109 section 5.5 has its certificate.

    Args:
        signs: its key may be used for signatures.
    """
    key = signer_key(address, bits)
    usage = dict.fromkeys(
        (
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
            "content_commitment",
        ),
        False,
    )
    usage["key_encipherment"] = not signs
    cert = (
        _certificate("Posta Certificata", key.public_key(), issuer, begin=begin, end=end)
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), critical=False)
        .add_extension(x509.KeyUsage(digital_signature=signs, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
        .add_extension(_lists_at(crl_urls), critical=False)
        .add_extension(_answers_at(ocsp_urls), critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    return Signer(cert, key, (cert,))


def carried_answer(answer: bytes) -> bytes:
    """An OCSP answer as RFC 5940 puts it into a CMS structure."""
    other = {"other_rev_info_format": "ocsp_response", "other_rev_info": asn1_ocsp.OCSPResponse.load(answer)}
    return bytes(cms.RevocationInfoChoice("other", cms.OtherRevocationInfoFormat(other)).dump())


def _lists_at(urls: Sequence[str]) -> x509.CRLDistributionPoints:
    names = [x509.UniformResourceIdentifier(url) for url in urls]
    return x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None) for name in names])


def _answers_at(urls: Sequence[str]) -> x509.AuthorityInformationAccess:
    names = [x509.UniformResourceIdentifier(url) for url in urls]
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, name) for name in names]
    )


def parsed(cert: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(cert.public_bytes(Encoding.DER))


def daticert(msgid: str = "m1@client.example", kind: str = "avvenuta-consegna") -> bytes:
    """Certification data after the DTD of RFC 6109 section 4.4."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<postacert tipo="{kind}" errore="nessuno"><intestazione>'
        '<mittente>mittente@pec.example</mittente><destinatari tipo="certificato">anna@pec.example</destinatari>'
        "<risposte>mittente@pec.example</risposte><oggetto>Prova</oggetto></intestazione><dati>"
        "<gestore-emittente>Gestore Prova S.p.A.</gestore-emittente>"
        '<data zona="+0100"><giorno>02/03/2026</giorno><ora>10:00:00</ora></data>'
        f"<identificativo>id1@pec.example</identificativo><msgid>&lt;{msgid}&gt;</msgid>"
        '<ricevuta tipo="completa"/><consegna>anna@pec.example</consegna></dati></postacert>\n'
    ).encode()


def attached(xml: bytes) -> bytes:
    """A part with certification data."""
    return (
        b'Content-Type: application/xml; name="daticert.xml"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + base64.encodebytes(xml).replace(b"\n", b"\r\n")
    )


def content(xml: bytes | None = None) -> bytes:
    """What a provider signs: a text and the certification data (none when `xml` is b"")."""
    data = daticert() if xml is None else xml
    return (
        b'Content-Type: multipart/mixed; boundary="in"\r\n\r\n'
        b"--in\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"Il messaggio =E8 stato consegnato\r\n" + (b"--in\r\n" + attached(data) if data else b"") + b"--in--\r\n"
    )


def signed_part(inner: bytes, signature: bytes, boundary: bytes = b"out") -> bytes:
    """A multipart/signed with its own header."""
    return (
        b'Content-Type: multipart/signed; protocol="application/x-pkcs7-signature"; boundary="' + boundary + b'"\r\n'
        b"\r\nThis is an S/MIME signed message\r\n\r\n--" + boundary + b"\r\n" + inner + b"\r\n--" + boundary + b"\r\n"
        b'Content-Type: application/x-pkcs7-signature; name="smime.p7s"\r\nContent-Transfer-Encoding: base64\r\n'
        b'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n'
        + base64.encodebytes(signature).replace(b"\n", b"\r\n")
        + b"\r\n--"
        + boundary
        + b"--\r\n"
    )


def opaque(signature: bytes) -> bytes:
    """A body that is a signature with the content inside."""
    return (
        b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(signature).replace(b"\n", b"\r\n")
    )


def mixed(*parts: bytes) -> bytes:
    """Parts beside each other."""
    return (
        b'Content-Type: multipart/mixed; boundary="all"\r\n\r\n'
        + b"".join(b"--all\r\n" + part + b"\r\n" for part in parts)
        + b"--all--\r\n"
    )


def mail(body: bytes, sender: str = ADDRESS, kind: str = "avvenuta-consegna") -> bytes:
    """An e-mail of a provider; `body` begins with the rest of its header."""
    return (
        f"From: {sender}\r\nTo: mittente@pec.example\r\nSubject: CONSEGNA: Prova\r\nX-Ricevuta: {kind}\r\n"
        "Message-ID: <r1@pec.example>\r\nMIME-Version: 1.0\r\n"
    ).encode() + body


def receipt(by: Signer, sender: str = ADDRESS, **how: Any) -> bytes:
    """A whole signed receipt; `how` as in `Signer.signature`."""
    inner = content()
    return mail(signed_part(inner, by.signature(inner, **how)), sender)
