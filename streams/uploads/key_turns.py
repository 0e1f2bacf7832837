"""One request for each idempotency key at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from schemas.ids import UserId
from streams import metrics
from streams.uploads.errors import KeyInUse


class KeyTurns:
    """The idempotency keys of the requests that are under way in this process.

    Requests of several processes that race with one key are settled by the claim in the database.
    """

    def __init__(self) -> None:
        self._in_use: set[tuple[UserId, str]] = set()

    @contextmanager
    def turn(self, user: UserId, key: str | None) -> Iterator[None]:
        """Hold the key; does nothing without a key.

        Raises:
            KeyInUse: Another request with the key is under way.
        """
        if key is None:
            yield
            return
        if (user, key) in self._in_use:
            metrics.UPLOADS_REFUSED.labels("key_in_use").inc()
            raise KeyInUse
        self._in_use.add((user, key))
        try:
            yield
        finally:
            self._in_use.discard((user, key))
