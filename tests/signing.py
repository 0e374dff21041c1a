"""Signed pictures for tests: certificates made on the spot, manifests through c2pa-python."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM
CAPTURED = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


@dataclass(frozen=True)
class Signer:
    """A certificate chain, its key, and the authority's own certificate, all as PEM."""

    chain: str
    key: str
    authority: str


def signer(*, lasts: timedelta = timedelta(days=1)) -> Signer:
    """An authority made for this test, and one signer that it vouches for."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    root = _name("Test authority")
    authority = (
        _builder(root, root, authority_key, lasts)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    certificate = (
        _builder(_name("Test signer"), root, key, lasts)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both = [each.public_bytes(PEM).decode() for each in (certificate, authority)]
    return Signer("".join(both), private.decode(), both[1])


def signed(
    body: bytes, media_type: str, entries: Any, *, by: Signer,
    label: str = "cawg.training-mining", elsewhere: str | None = None,
) -> bytes:  # fmt: skip
    """The picture with a manifest that asserts `entries`, or that names where its manifest is."""
    actions = {"actions": [{"action": "c2pa.created", "digitalSourceType": CAPTURED}]}
    assertions = [{"label": "c2pa.actions", "data": actions}]
    if entries is not None:
        assertions.append({"label": label, "data": {"entries": entries}})
    generator = [{"name": "tests", "version": "1"}]
    builder = c2pa.Builder(
        {"claim_generator_info": generator, "format": media_type, "assertions": assertions}
    )
    if elsewhere is not None:
        builder.set_no_embed()
        builder.set_remote_url(elsewhere)
    info = c2pa.C2paSignerInfo(b"es256", by.chain.encode(), by.key.encode(), None)
    out = io.BytesIO()
    builder.sign(c2pa.Signer.from_info(info), media_type, io.BytesIO(body), out)
    return out.getvalue()


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests"),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lasts: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=signs_certificates, crl_sign=signs_certificates, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
