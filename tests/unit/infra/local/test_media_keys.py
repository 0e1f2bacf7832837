"""The keys that sign photo URLs: the newest signs, the newest two are trusted, older ones are
deleted."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from infra.local import credentials, media_keys
from infra.local.errors import StackError
from infra.local.media_keys import MediaKey
from infra.local.stack import Stack


def test_the_newest_key_signs_and_the_newest_two_are_trusted(tmp_path: Path) -> None:
    """URLs of a key stay valid after the next rotation and become invalid at the one after it."""
    (first,) = media_keys.load_or_make(tmp_path)
    second, trusted_first = _rotate(tmp_path)
    third, trusted_second = _rotate(tmp_path)

    assert (trusted_first, trusted_second) == (first, second)
    assert media_keys.load_or_make(tmp_path) == (third, second)
    assert len({first.key_id, second.key_id, third.key_id}) == 3


def test_a_key_that_is_not_trusted_any_more_leaves_the_disk(tmp_path: Path) -> None:
    """A person who gets the folder later cannot sign with an old key."""
    media_keys.load_or_make(tmp_path)
    for _ in range(3):
        _rotate(tmp_path)

    assert len(list(tmp_path.iterdir())) == 2 * media_keys.TRUSTED_MAX + 1
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_edges_trust_a_key_before_it_signs(tmp_path: Path) -> None:
    """Otherwise photos would be refused during a rotation. If the edges cannot be told, the key does not
    sign, and the next rotation makes no further key, because that would end trust in the one that signs."""
    (first,) = media_keys.load_or_make(tmp_path)
    signed_before: list[str] = []

    def fail() -> None:
        signed_before.append(_signing(tmp_path))
        raise StackError("no reload")

    for _ in range(2):
        with pytest.raises(StackError):
            media_keys.rotate(tmp_path, fail)
    second, previous = _rotate(tmp_path)

    assert signed_before == [first.key_id] * 2
    assert (_signing(tmp_path), previous) == (second.key_id, first)


def test_the_file_that_signs_has_the_newest_key(tmp_path: Path) -> None:
    """Its text has the ids, and readers of PEM skip the text."""
    media_keys.load_or_make(tmp_path)
    second, first = _rotate(tmp_path)
    content = media_keys.signing_file(tmp_path).read_text()

    assert content == f"Key-Id: {second.key_id}\nPrevious: {first.key_id}\n{second.private_key.read_text()}"
    assert load_pem_private_key(content.encode(), password=None)


def _rotate(folder: Path) -> tuple[MediaKey, ...]:
    return media_keys.rotate(folder, lambda: None)


def _signing(folder: Path) -> str:
    return media_keys.signing_file(folder).read_text().split()[1]


def test_a_rotation_that_was_cut_short_is_done_by_the_next(tmp_path: Path) -> None:
    """An interrupted rotation may leave a public key without its private key. Such a key is
    ignored."""
    (first,) = media_keys.load_or_make(tmp_path)
    (tmp_path / "media-key-000002.pub").write_text("half")

    assert media_keys.load_or_make(tmp_path) == (first,)
    assert _rotate(tmp_path)[1] == first


def test_a_keys_id_is_made_of_its_public_key(tmp_path: Path) -> None:
    """The edge gets the public half of the signing key, under an id of the form that CloudFront
    uses."""
    (key,) = media_keys.load_or_make(tmp_path)
    private = load_pem_private_key(key.private_key.read_bytes(), password=None)

    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    assert base64.b64decode(key.public_key) == der
    assert key.key_id.startswith("K")
    assert key.key_id.isalnum()
    assert key.key_id == key.key_id.upper()


def test_programs_are_told_of_the_newest_key(tmp_path: Path) -> None:
    """The environment and the environment file name the newest key. A rotation also works while the
    stack does not run."""
    stack = Stack(tmp_path / "stack")
    stack.choose_ports()
    before = stack.environment()["SHUTTERLINE_MEDIA_KEY_ID"]

    key = stack.rotate_media_key()

    environment = stack.environment()
    assert environment["SHUTTERLINE_MEDIA_KEY_ID"] == key.key_id != before
    signing = Path(environment["SHUTTERLINE_MEDIA_PRIVATE_KEY"]).read_text()
    assert signing.endswith(key.private_key.read_text())
    assert f"SHUTTERLINE_MEDIA_KEY_ID={key.key_id}\n" in stack.home.environment_file.read_text()


def test_programs_are_told_of_the_shield_before_the_edges(tmp_path: Path) -> None:
    """Caches are purged in this order. Otherwise an edge could fetch the purged object again from
    the shield."""
    stack = Stack(tmp_path / "stack")
    stack.choose_ports()

    environment = stack.environment()

    ports = [stack.port(name) for name in ("shield_status", "edge_status")]
    assert environment["SHUTTERLINE_EDGES"] == ",".join(f"http://127.0.0.1:{port}" for port in ports)
    assert environment["SHUTTERLINE_EDGE_SECRET"] == credentials.load_or_make(stack.home.secrets).edge_secret
