"""The local stack's secrets: made once, at random, readable by their owner alone."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# The edge looks the public key up by this name, as CloudFront does.
MEDIA_KEY_ID = "LOCALMEDIAKEY"
RSA_BITS = 2048  # CloudFront takes RSA keys of 2048 bits.


@dataclass(frozen=True)
class Credentials:
    """What the servers are configured with and the programs sign in with."""

    s3_access_key: str
    s3_secret_key: str
    jwt_secret: str
    media_private_key: Path


def load_or_make(folder: Path) -> Credentials:
    """The secrets in `folder`; those that are missing are made and kept."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Credentials(
        s3_access_key=_kept(folder / "s3-access-key", lambda: f"local{secrets.token_hex(8)}").read_text(),
        s3_secret_key=_kept(folder / "s3-secret-key", lambda: secrets.token_hex(20)).read_text(),
        jwt_secret=_kept(folder / "jwt-secret", lambda: secrets.token_hex(32)).read_text(),
        media_private_key=_kept(folder / "media-key.pem", _private_key_pem),
    )


def _kept(path: Path, make: Callable[[], str]) -> Path:
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(make())
        draft.replace(path)
    return path


def _private_key_pem() -> str:
    # Imported here: it takes longer than all else that a start with kept secrets does in Python.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
