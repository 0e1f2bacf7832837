"""The keys that sign photo URLs: the newest signs, the newest two are trusted, older ones are
deleted."""

import base64
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from infra.local import credentials, media_keys
from infra.local.stack import Stack


def test_the_newest_key_signs_and_the_newest_two_are_trusted(tmp_path: Path) -> None:
    """URLs of a key stay valid after the next rotation and become invalid at the one after it."""
    (first,) = media_keys.load_or_make(tmp_path)
    second, trusted_first = media_keys.rotate(tmp_path)
    third, trusted_second = media_keys.rotate(tmp_path)

    assert (trusted_first, trusted_second) == (first, second)
    assert media_keys.load_or_make(tmp_path) == (third, second)
    assert len({first.key_id, second.key_id, third.key_id}) == 3


def test_a_key_that_is_not_trusted_any_more_leaves_the_disk(tmp_path: Path) -> None:
    """A person who gets the folder later cannot sign with an old key."""
    media_keys.load_or_make(tmp_path)
    for _ in range(3):
        media_keys.rotate(tmp_path)

    assert len(list(tmp_path.iterdir())) == 2 * media_keys.TRUSTED_MAX
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_rotation_that_was_cut_short_is_done_by_the_next(tmp_path: Path) -> None:
    """An interrupted rotation may leave a public key without its private key. Such a key is
    ignored."""
    (first,) = media_keys.load_or_make(tmp_path)
    (tmp_path / "media-key-000002.pub").write_text("half")

    assert media_keys.load_or_make(tmp_path) == (first,)
    assert media_keys.rotate(tmp_path)[1] == first


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
    assert environment["SHUTTERLINE_MEDIA_PRIVATE_KEY"] == str(key.private_key)
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
