"""The keys that sign photo URLs, which change while the process runs."""

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from streams.limited_log import LimitedLog
from streams.settings import PhotoUrlSettings

log = logging.getLogger(__name__)

_LINE = re.compile(r"^(Key-Id|Previous): *(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class KeyIds:
    """The id of the key that signs, and of the keys before it whose URLs the edges still accept."""

    signing: str
    previous: frozenset[str] = frozenset()

    def __contains__(self, key_id: str) -> bool:
        return key_id == self.signing or key_id in self.previous


@dataclass(frozen=True, slots=True)
class MediaKeys:
    """The key that signs, and the ids of all keys whose URLs the edges accept."""

    ids: KeyIds
    private_key: RSAPrivateKey


def load_media_keys(settings: PhotoUrlSettings) -> MediaKeys:
    """Read the keys from the PEM file `media_private_key`.

    Lines of text may precede the key: `Key-Id: K2` and `Previous: K1`. PEM allows such text, and
    readers of PEM skip it. Without them, the id is `media_key_id`.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file holds no RSA key; the message names it.
    """
    content = settings.media_private_key.read_bytes()
    return MediaKeys(_ids(content, settings), _private_key(content, settings))


def _ids(content: bytes, settings: PhotoUrlSettings) -> KeyIds:
    lines = dict(_LINE.findall(content.partition(b"-----BEGIN")[0].decode(errors="replace")))
    return KeyIds(lines.get("Key-Id", settings.media_key_id), frozenset(lines.get("Previous", "").split()))


def _private_key(content: bytes, settings: PhotoUrlSettings) -> RSAPrivateKey:
    path = settings.media_private_key
    try:
        key = load_pem_private_key(content, password=None)
    except (TypeError, UnsupportedAlgorithm, ValueError) as error:  # A TypeError is an encrypted key's.
        raise ValueError(f"{path} holds no private key that can be used: {error}") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(f"{path} holds a {type(key).__name__}, but photo URLs need an RSA private key")  # noqa: TRY004 - the file's content is wrong, not a caller's type.
    return key


class MediaKeysPoller:
    """Reads the file `media_private_key` every `media_keys_refresh_ms`, and gives `use` the keys if their
    ids have changed.

    A new key under an id that is in use is not taken up, because the edges know another key by this id.
    If the file cannot be read, nothing changes, and the log says so.
    """

    def __init__(self, settings: PhotoUrlSettings, ids: KeyIds, use: Callable[[MediaKeys], None]) -> None:
        """`ids` are those in use."""
        self._settings = settings
        self._ids = ids
        self._use = use
        self._failures = LimitedLog(log)

    async def run(self) -> None:
        """Refresh again and again; runs until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._settings.media_keys_refresh_ms / 1_000)

    async def refresh(self) -> None:
        """Read the file once. Never raises for what the file holds."""
        try:
            # In a thread, because the file may be on a network.
            keys = await asyncio.to_thread(self._read)
        except (OSError, ValueError) as error:
            self._failures.warning("file", "the media keys stay as they are: %s", error)
            return
        if keys is not None:
            self._use(keys)
            self._ids = keys.ids
            log.info("photo URLs are signed with the media key %s", keys.ids.signing)

    def _read(self) -> MediaKeys | None:
        """Return the keys if their ids have changed: parsing a private key takes milliseconds."""
        content = self._settings.media_private_key.read_bytes()
        ids = _ids(content, self._settings)
        return None if ids == self._ids else MediaKeys(ids, _private_key(content, self._settings))
