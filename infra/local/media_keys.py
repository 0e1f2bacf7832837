"""The keys that sign photo URLs: the newest two are trusted, and a file of its own has the one that signs."""

import base64
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

RSA_BITS = 2048  # CloudFront takes RSA keys of 2048 bits.
# URLs signed with the previous key stay valid until the next rotation.
TRUSTED_MAX = 2
# 80 bits: equal ids of two keys are likely only among about a trillion keys.
ID_HEX_DIGITS = 20
_NAME = re.compile(r"media-key-(\d{6})\.pem")


@dataclass(frozen=True)
class MediaKey:
    """One key pair: the private key as a PEM file, the public one as base64 of its DER."""

    private_key: Path
    public_key: str

    @property
    def key_id(self) -> str:
        """The id by which a CDN edge finds the key, as in CloudFront: a hash of the public key."""
        return f"K{hashlib.sha256(base64.b64decode(self.public_key)).hexdigest()[:ID_HEX_DIGITS].upper()}"


def signing_file(folder: Path) -> Path:
    """The key that signs, with its id and the previous one's; running API processes read it."""
    return folder / "media-key.pem"


def load_or_make(folder: Path) -> tuple[MediaKey, ...]:
    """The trusted keys in `folder`, newest first; if there is none, one is made."""
    if not _numbers(folder):
        _make(folder, 1)
    trusted = _trusted(folder)
    if not signing_file(folder).exists():
        _sign_with(folder, trusted)
    return trusted


def rotate(folder: Path, trust: Callable[[], object]) -> tuple[MediaKey, ...]:
    """Make a new key and delete those no longer trusted; returns the trusted keys, newest first.

    `trust` makes the edges accept the trusted keys; it is called before the new key signs. A rotation that
    was cut short is finished by the next one, which then makes no key of its own.
    """
    newest, *_ = load_or_make(folder)
    if _signing_text(newest) in signing_file(folder).read_text():
        _make(folder, _numbers(folder)[0] + 1)
    trust()
    trusted = _trusted(folder)
    _sign_with(folder, trusted)
    for number in _numbers(folder)[TRUSTED_MAX:]:
        _private(folder, number).unlink()
        _public(folder, number).unlink()
    return trusted


def _trusted(folder: Path) -> tuple[MediaKey, ...]:
    return tuple(_key(folder, number) for number in _numbers(folder)[:TRUSTED_MAX])


def _sign_with(folder: Path, trusted: tuple[MediaKey, ...]) -> None:
    newest, *previous = trusted
    ids = " ".join(key.key_id for key in previous)
    text = f"{_signing_text(newest)}Previous: {ids}\n{newest.private_key.read_text()}"
    _write(signing_file(folder), text.encode())


def _signing_text(key: MediaKey) -> str:
    return f"Key-Id: {key.key_id}\n"


def _numbers(folder: Path) -> list[int]:
    """Return the numbers of the keys in `folder`, newest first."""
    matches = (_NAME.fullmatch(file.name) for file in folder.iterdir())
    return sorted((int(match.group(1)) for match in matches if match), reverse=True)


def _private(folder: Path, number: int) -> Path:
    return folder / f"media-key-{number:06}.pem"


def _public(folder: Path, number: int) -> Path:
    return folder / f"media-key-{number:06}.pub"


def _key(folder: Path, number: int) -> MediaKey:
    return MediaKey(_private(folder, number), _public(folder, number).read_text())


def _make(folder: Path, number: int) -> None:
    # Imported here, because the import takes longer than everything else that a start does in
    # Python if the secrets exist. The public key is stored beside the private one, so that reading
    # it needs no import either.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # Write the private key last: a key pair exists as soon as its private file exists.
    _write(_public(folder, number), base64.b64encode(public))
    _write(_private(folder, number), private)


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
