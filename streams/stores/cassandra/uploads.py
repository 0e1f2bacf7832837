"""Uploads under way and idempotency keys in Cassandra.

Several processes may change `state` and `parts_id` at once, so both are written only by lightweight
transactions. Plain writes use other timestamps, so a mix of both could be applied in a wrong order.
"""

from collections.abc import AsyncIterator
from typing import Any

from schemas.ids import PhotoId, UserId
from schemas.times import as_utc
from streams.core.uploads import KeyClaim, Upload, UploadState
from streams.ports.uploads import Uploads
from streams.stores.cassandra.session import TOKEN_MIN, CassandraSession

ROWS_A_CALL = 1_000
_COLUMNS = "photo_id, author_id, object_key, content_type, size_bytes, caption, created_at, parts_id, state"


class CassandraUploads(Uploads):
    """Tables `uploads` and `upload_keys`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._insert = session.prepare(
            f"INSERT INTO uploads ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS",
            idempotent=False,
        )
        self._get = session.prepare(f"SELECT {_COLUMNS} FROM uploads WHERE photo_id = ?")
        self._set_parts = session.prepare(
            "UPDATE uploads SET parts_id = ? WHERE photo_id = ? IF parts_id = null AND state = 'uploading'",
            idempotent=False,
        )
        self._move = session.prepare(
            "UPDATE uploads SET state = ? WHERE photo_id = ? IF state = ?", idempotent=False
        )
        self._enter = session.prepare(
            "DELETE FROM uploads WHERE photo_id = ? IF state = 'completed'", idempotent=False
        )
        self._remove = session.prepare("DELETE FROM uploads WHERE photo_id = ? IF EXISTS", idempotent=False)
        self._page = session.prepare(
            f"SELECT token(photo_id), {_COLUMNS} FROM uploads WHERE token(photo_id) > ? LIMIT {ROWS_A_CALL}"
        )
        self._claim = session.prepare(
            "INSERT INTO upload_keys (user_id, key, photo_id, fingerprint) VALUES (?, ?, ?, ?)"
            " IF NOT EXISTS USING TTL ?",
            idempotent=False,
        )
        self._claimed = session.prepare(
            "SELECT photo_id, fingerprint FROM upload_keys WHERE user_id = ? AND key = ?"
        )
        self._release = session.prepare(
            "DELETE FROM upload_keys WHERE user_id = ? AND key = ? IF photo_id = ?", idempotent=False
        )

    async def insert(self, upload: Upload) -> None:
        await self._session.rows(
            self._insert,
            upload.photo_id,
            upload.author_id,
            upload.object_key,
            upload.content_type,
            upload.size_bytes,
            upload.caption,
            upload.created_at,
            upload.parts_id,
            upload.state,
        )

    async def get(self, photo: PhotoId) -> Upload | None:
        rows = await self._session.rows(self._get, photo)
        return _upload(rows[0]) if rows else None

    async def set_parts_id(self, photo: PhotoId, parts_id: str) -> str | None:
        if (await self._session.rows(self._set_parts, parts_id, photo))[0][0]:
            return parts_id
        upload = await self.get(photo)
        return upload.parts_id if upload and upload.state is UploadState.UPLOADING else None

    async def complete(self, photo: PhotoId) -> UploadState | None:
        return await self._change(photo, UploadState.UPLOADING, UploadState.COMPLETED)

    async def abort(self, photo: PhotoId) -> UploadState | None:
        return await self._change(photo, UploadState.UPLOADING, UploadState.ABORTED)

    async def take_back(self, photo: PhotoId) -> UploadState | None:
        return await self._change(photo, UploadState.COMPLETED, UploadState.ABORTED)

    async def _change(self, photo: PhotoId, before: UploadState, after: UploadState) -> UploadState | None:
        result = (await self._session.rows(self._move, after, photo, before))[0]
        return after if result[0] else _stored_state(result)

    async def enter(self, photo: PhotoId) -> UploadState | None:
        result = (await self._session.rows(self._enter, photo))[0]
        return UploadState.COMPLETED if result[0] else _stored_state(result)

    async def remove(self, photo: PhotoId) -> None:
        await self._session.rows(self._remove, photo)

    async def all(self) -> AsyncIterator[Upload]:
        token = TOKEN_MIN
        while rows := await self._session.rows(self._page, token):
            for row in rows:
                yield _upload(row[1:])
            token = rows[-1][0]

    async def claim_key(self, user: UserId, key: str, claim: KeyClaim, *, life_s: int) -> KeyClaim:
        row = (await self._session.rows(self._claim, user, key, claim.photo_id, claim.fingerprint, life_s))[0]
        if row[0]:
            return claim
        # A refused insert returns the stored row: its key, then the other columns by name.
        _, _, _, fingerprint, photo = row
        return KeyClaim(PhotoId(photo), bytes(fingerprint))

    async def claimed(self, user: UserId, key: str) -> KeyClaim | None:
        rows = await self._session.rows(self._claimed, user, key)
        return KeyClaim(PhotoId(rows[0][0]), bytes(rows[0][1])) if rows else None

    async def release_key(self, user: UserId, key: str, photo: PhotoId) -> None:
        await self._session.rows(self._release, user, key, photo)


def _stored_state(refused: tuple[Any, ...]) -> UploadState | None:
    """Return the stored state from the result of a refused condition; None if there is no row."""
    return UploadState(refused[1]) if len(refused) > 1 and refused[1] else None


def _upload(row: tuple[Any, ...]) -> Upload:
    photo, author, object_key, content_type, size_bytes, caption, created_at, parts_id, state = row
    return Upload(
        photo_id=PhotoId(photo),
        author_id=UserId(author),
        object_key=object_key,
        content_type=content_type,
        size_bytes=size_bytes,
        caption=caption or "",
        created_at=as_utc(created_at),
        parts_id=parts_id,
        state=UploadState(state),
    )
