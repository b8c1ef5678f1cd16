"""Certificates for servers on 127.0.0.1, from an authority that nobody trusts unasked."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_DAY = timedelta(days=1)
_SIGNS = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """An authority whose certificate lies at `ca`, with what it issues, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "ca.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = (
            self._certificate("authority", self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS, critical=True)
        )
        self._write(self.ca, own)

    def issue(self, name: str = "server") -> tuple[Path, Path]:
        """Return the files of a certificate for 127.0.0.1 and of its key."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        private = ec.generate_private_key(ec.SECP256R1())
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        issued = self._certificate(name, private.public_key()).add_extension(
            x509.SubjectAlternativeName([address]), critical=False
        )
        self._write(certificate, issued)
        key.touch(mode=0o600)
        key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key

    def _certificate(self, name: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        subject, issuer = (
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)])
            for one in (name, "authority")
        )
        now = datetime.now(UTC)
        number = x509.random_serial_number()
        builder = x509.CertificateBuilder(issuer, subject, key, number, now - _DAY, now + _DAY)
        # Python looks for what RFC 5280 asks for from 3.13 on.
        return builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key), critical=False
        ).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
            critical=False,
        )

    def _write(self, file: Path, certificate: x509.CertificateBuilder) -> None:
        file.write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
