"""The file of the key that signs photo URLs, which is read again while the process runs."""

import logging
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from api.reading.media_keys import KeyIds, MediaKeys, MediaKeysPoller, load_media_keys
from streams.settings import PhotoUrlSettings
from tests.worlds.api import media_key

OF_SETTINGS = "of the settings"
Write = Callable[..., PhotoUrlSettings]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the file; returns the settings that name it."""

    def write(text: str, key: RSAPrivateKey | EllipticCurvePrivateKey | None = None) -> PhotoUrlSettings:
        file = tmp_path / "media-key.pem"
        pem = (key or media_key()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(text.encode() + pem)
        return PhotoUrlSettings(media_private_key=file, media_key_id=OF_SETTINGS)

    return write


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", KeyIds(OF_SETTINGS)),
        ("Key-Id: K2\n", KeyIds("K2")),
        ("Key-Id: K2\r\nPrevious: K1 K0\r\n", KeyIds("K2", frozenset({"K1", "K0"}))),
        ("A note: Key-Id: K9\nKey-Id: K2\nPrevious: \n", KeyIds("K2")),
    ],
)
def test_the_file_names_its_key(write: Write, text: str, ids: KeyIds) -> None:
    """A plain PEM file has the id of the settings."""
    assert ids == load_media_keys(write(text)).ids


def test_what_is_no_rsa_key_is_refused(write: Write) -> None:
    """The sentence names the file."""
    with pytest.raises(ValueError, match=r"media-key\.pem holds a ECPrivateKey, but"):
        load_media_keys(write("", ec.generate_private_key(ec.SECP256R1())))
    settings = write("")
    settings.media_private_key.write_text("Key-Id: K2\n")
    with pytest.raises(ValueError, match=r"media-key\.pem holds no private key"):
        load_media_keys(settings)


def _of_unknown_curve() -> bytes:
    """A key whose curve has an identifier that nobody assigned."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    der = pem.replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f"))
    return b"-----BEGIN EC PRIVATE KEY-----\n" + b64encode(der) + b"\n-----END EC PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "pem",
    [
        media_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        _of_unknown_curve(),
    ],
    ids=["encrypted", "of an unknown curve"],
)
async def test_a_key_that_cannot_be_used_ends_no_process(
    write: Write, pem: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The library has an error of its own for each. The log says so, and the known key still signs."""
    settings = write("Key-Id: K1\n")
    used: list[MediaKeys] = []
    poller = MediaKeysPoller(settings, load_media_keys(settings).ids, used.append)
    settings.media_private_key.write_bytes(b"Key-Id: K2\n" + pem)

    await poller.refresh()

    assert used == []
    assert "holds no private key that can be used" in caplog.text


async def test_a_new_key_is_used_once_and_a_bad_file_changes_nothing(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is missing, cut off or without a key is logged; the known key still signs."""
    settings = write("Key-Id: K1\n")
    used: list[MediaKeys] = []
    poller = MediaKeysPoller(settings, load_media_keys(settings).ids, used.append)

    await poller.refresh()
    assert used == []
    write("Key-Id: K2\nPrevious: K1\n")
    for _ in range(2):
        await poller.refresh()
    assert [keys.ids for keys in used] == [KeyIds("K2", frozenset({"K1"}))]
    with caplog.at_level(logging.WARNING):
        settings.media_private_key.write_text("Key-Id: K3\n-----BEGIN")
        await poller.refresh()
        settings.media_private_key.unlink()
        await poller.refresh()
    assert len(used) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
