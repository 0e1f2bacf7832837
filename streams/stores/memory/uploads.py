"""Uploads under way, idempotency keys and the upload limit, in memory."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from schemas.ids import PhotoId, UserId
from schemas.times import whole_ms
from streams.core.uploads import KeyClaim, Upload, UploadState
from streams.ports.uploads import UploadLimit, Uploads

WINDOW_MS = 60_000


class MemoryUploads(Uploads):
    """Rows by photo, and claims by user and idempotency key."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._rows: dict[PhotoId, Upload] = {}
        self._keys: dict[tuple[UserId, str], tuple[KeyClaim, int]] = {}

    async def insert(self, upload: Upload) -> None:
        # Cassandra's timestamps have milliseconds.
        self._rows.setdefault(upload.photo_id, replace(upload, created_at=whole_ms(upload.created_at)))

    async def get(self, photo: PhotoId) -> Upload | None:
        return self._rows.get(photo)

    async def set_parts_id(self, photo: PhotoId, parts_id: str) -> str | None:
        row = self._rows.get(photo)
        if row is None or row.state is not UploadState.UPLOADING:
            return None
        stored_id = row.parts_id or parts_id
        self._rows[photo] = replace(row, parts_id=stored_id)
        return stored_id

    async def complete(self, photo: PhotoId) -> UploadState | None:
        return self._change(photo, UploadState.UPLOADING, UploadState.COMPLETED)

    async def abort(self, photo: PhotoId) -> UploadState | None:
        return self._change(photo, UploadState.UPLOADING, UploadState.ABORTED)

    async def take_back(self, photo: PhotoId) -> UploadState | None:
        return self._change(photo, UploadState.COMPLETED, UploadState.ABORTED)

    def _change(self, photo: PhotoId, before: UploadState, after: UploadState) -> UploadState | None:
        row = self._rows.get(photo)
        if row is None:
            return None
        if row.state is before:
            self._rows[photo] = replace(row, state=after)
        return self._rows[photo].state

    async def enter(self, photo: PhotoId) -> UploadState | None:
        row = self._rows.get(photo)
        if row is None:
            return None
        if row.state is UploadState.COMPLETED:
            del self._rows[photo]
        return row.state

    async def remove(self, photo: PhotoId) -> None:
        self._rows.pop(photo, None)

    async def all(self) -> AsyncIterator[Upload]:
        for row in list(self._rows.values()):
            yield row

    async def claim_key(self, user: UserId, key: str, claim: KeyClaim, *, life_s: int) -> KeyClaim:
        stored = await self.claimed(user, key)
        if stored is None:
            self._keys[user, key] = (claim, self._clock_ms() + life_s * 1_000)
        return stored or claim

    async def claimed(self, user: UserId, key: str) -> KeyClaim | None:
        claim, until_ms = self._keys.get((user, key), (None, 0))
        return claim if self._clock_ms() < until_ms else None

    async def release_key(self, user: UserId, key: str, photo: PhotoId) -> None:
        stored = await self.claimed(user, key)
        if stored is not None and stored.photo_id == photo:
            del self._keys[user, key]


class MemoryUploadLimit(UploadLimit):
    """The uploads of the last minute by user and name."""

    def __init__(self, per_minute: int, clock_ms: Callable[[], int]) -> None:
        self._per_minute = per_minute
        self._clock_ms = clock_ms
        self._counted_ms: dict[UserId, dict[str, int]] = defaultdict(dict)

    async def take(self, user: UserId, name: str) -> int | None:
        now_ms = self._clock_ms()
        counted = {
            other: counted_ms
            for other, counted_ms in self._counted_ms[user].items()
            if counted_ms > now_ms - WINDOW_MS
        }
        self._counted_ms[user] = counted
        if name in counted:
            return None
        if len(counted) >= self._per_minute:
            return max(1, min(counted.values()) + WINDOW_MS - now_ms)
        counted[name] = now_ms
        return None

    async def give_back(self, user: UserId, name: str) -> None:
        self._counted_ms[user].pop(name, None)
