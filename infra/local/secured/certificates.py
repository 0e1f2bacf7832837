"""The stack's own certificate authority, and the certificates of its servers."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.local.paths import private_folder

# Longer than a local stack lives. An authority or a certificate that has expired is not replaced.
LIFE = timedelta(days=3_650)
# So that a clock that is put back a little does not make a certificate invalid.
BEFORE = timedelta(days=1)


class Authority:
    """The authority of a stack; its files are in the stack's folder of secrets, for their owner alone."""

    def __init__(self, secrets: Path) -> None:
        """It is made if it is missing."""
        self._folder = secrets / "tls"
        private_folder(self._folder)
        self._identity = self._folder / "authority-identity.pem"
        self.file = self._folder / "authority.pem"
        if not self.file.exists():
            self._make()

    def identity(self, server: str) -> Path:
        """The file with the private key of a server and its certificate for 127.0.0.1; made if missing."""
        file = self._folder / f"{server}.pem"
        if not file.exists():
            self.issue(file, datetime.now(UTC) + LIFE)
        return file

    def issue(self, file: Path, until: datetime) -> None:
        """Write a new private key, and its certificate for 127.0.0.1 that is valid until then."""
        read = self._identity.read_bytes()
        authority = x509.load_pem_x509_certificate(read)
        signer = serialization.load_pem_private_key(read, None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _certificate(_name(file.stem), authority.subject, key, min(datetime.now(UTC), until), until)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
            )
            .sign(signer, hashes.SHA256())
        )
        _write(file, [_private(key), _public(certificate)])

    def _make(self) -> None:
        key, name, now = (
            ec.generate_private_key(ec.SECP256R1()),
            _name("Shutterline local"),
            datetime.now(UTC),
        )
        certificate = (
            _certificate(name, name, key, now, now + LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(self._identity, [_private(key), _public(certificate)])
        _write(
            self.file, [_public(certificate)]
        )  # Last, so that a start that is killed half-way is repeated.


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(until)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(file: Path, parts: Sequence[bytes]) -> None:
    draft = file.with_name(f"{file.name}.{os.getpid()}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(b"".join(parts))
    draft.replace(file)
