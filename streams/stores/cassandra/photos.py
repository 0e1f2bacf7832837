"""Photos, tombstones and each author's list in Cassandra."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cassandra.query import UNSET_VALUE
from more_itertools import sliced

from schemas.ids import PhotoId, UserId
from schemas.times import as_utc, nearest_ms, whole_ms
from streams.clock import unix_us
from streams.core.delivery import Delivery
from streams.core.photos import AuthorPhoto, Photo, Status, StoredRendition
from streams.ports.photos import AuthorPhotos, Photos
from streams.stores.cassandra.session import CassandraSession

PHOTOS_A_CALL = 100
AUTHORS_A_CALL = 64

# Write timestamps of an author's list. A rejection or a removal has a later timestamp than an
# addition, so it wins in whatever order they arrive. A removal wins over a rejection, because at
# equal timestamps Cassandra prefers the delete.
_ADDED, _REJECTED, _REMOVED = 1, 2, 2


def first_wins(now_us: int, position: int) -> int:
    """Return the write timestamp of facts that a later insert of the same id must not replace.

    It is negative and becomes less as time passes, so that of two inserts the earlier one wins, and every
    plain write to the row wins over both. `position` orders the photos of one call.
    """
    return -(now_us + position)


class CassandraPhotos(Photos):
    """Tables `photos` and `tombstones`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._insert = session.prepare(
            "INSERT INTO photos (photo_id, author_id, created_at, caption, object_key, content_type, given)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
        )
        self._get = session.prepare(
            "SELECT photo_id, author_id, created_at, caption, object_key, content_type, status, reason,"
            " given, WRITETIME(given), WRITETIME(author_id), renditions, deleted FROM photos"
            " WHERE photo_id IN ?"
        )
        self._ready = session.prepare(
            "UPDATE photos SET status = 'ready', renditions = renditions + ?,"
            " delivery_mode = ?, delivery_lane = ?, delivery_reason = ? WHERE photo_id = ?"
        )
        self._add = session.prepare("UPDATE photos SET renditions = renditions + ? WHERE photo_id = ?")
        self._forget = session.prepare(
            "UPDATE photos SET renditions = renditions - ?, given = null WHERE photo_id = ?"
        )
        self._rejected = session.prepare(
            "UPDATE photos SET status = 'rejected', reason = ? WHERE photo_id = ?"
        )
        self._insert_tombstone = session.prepare("INSERT INTO tombstones (photo_id, author_id) VALUES (?, ?)")
        self._tombstones = session.prepare(
            "SELECT photo_id, author_id FROM tombstones WHERE photo_id IN ? AND author_id IN ?"
        )
        self._erase = session.prepare("UPDATE photos SET deleted = true, caption = '' WHERE photo_id = ?")

    async def insert(self, photos: Sequence[Photo]) -> None:
        now_us = unix_us()
        await self._session.batches(
            [
                (
                    self._insert,
                    (
                        photo.photo_id,
                        photo.author_id,
                        whole_ms(photo.created_at),  # The driver would round times before 1970 up.
                        photo.caption,
                        photo.object_key,
                        photo.content_type,
                        _packed(photo.renditions) or UNSET_VALUE,
                        first_wins(now_us, position),
                    ),
                )
                for position, photo in enumerate(photos)
            ]
        )

    async def get(self, photos: Sequence[PhotoId]) -> dict[PhotoId, Photo]:
        calls = [self._session.rows(self._get, list(ids)) for ids in sliced(photos, PHOTOS_A_CALL)]
        # A row without an author was created by an UPDATE; its photo was never inserted.
        stored = [_photo(row) for rows in await asyncio.gather(*calls) for row in rows if row[1] is not None]
        return {photo.photo_id: photo for photo in stored}

    async def mark_ready(
        self,
        renditions: Mapping[PhotoId, Mapping[str, StoredRendition]],
        deliveries: Mapping[PhotoId, Delivery],
    ) -> None:
        await self._session.batches(
            [
                (self._ready, (_packed(renditions[photo]), by.mode, by.lane, by.reason, photo))
                for photo, by in deliveries.items()
            ]
        )

    async def add_renditions(self, photo: PhotoId, renditions: Mapping[str, StoredRendition]) -> None:
        await self._session.rows(self._add, _packed(renditions), photo)

    async def forget_renditions(self, photo: PhotoId, names: Collection[str]) -> None:
        row = (await self.get([photo])).get(photo)
        stored = {} if row is None else row.renditions
        left = {name: stored[name] for name in stored.keys() - set(names)}
        await self._session.batch([(self._add, (_packed(left), photo)), (self._forget, (set(names), photo))])

    async def mark_rejected(self, photo: PhotoId, reason: str) -> None:
        await self._session.rows(self._rejected, reason, photo)

    async def write_tombstone(self, photo: PhotoId, author: UserId) -> None:
        await self._session.rows(self._insert_tombstone, photo, author)

    async def tombstones(self, photos: Collection[tuple[PhotoId, UserId]]) -> set[tuple[PhotoId, UserId]]:
        calls = [
            self._session.rows(
                self._tombstones, list({photo for photo, _ in some}), list({author for _, author in some})
            )
            for some in sliced(list(photos), PHOTOS_A_CALL)
        ]
        found = {(PhotoId(row[0]), UserId(row[1])) for rows in await asyncio.gather(*calls) for row in rows}
        return found & set(photos)

    async def erase(self, photo: PhotoId) -> None:
        await self._session.rows(self._erase, photo)


def _packed(renditions: Mapping[str, StoredRendition]) -> dict[str, tuple[str, int, int]]:
    return {
        name: (rendition.object_key, rendition.width, rendition.height)
        for name, rendition in renditions.items()
    }


def _unpacked(renditions: Mapping[str, tuple[str, int, int]] | None) -> dict[str, StoredRendition]:
    return {
        name: StoredRendition(object_key=key, width=width, height=height)
        for name, (key, width, height) in (renditions or {}).items()
    }


def _photo(row: tuple[Any, ...]) -> Photo:
    photo, author, created_at, caption, object_key, content_type, status, reason, *renditions, deleted = row
    given, given_us, author_us, added = renditions
    return Photo(
        photo_id=PhotoId(photo),
        author_id=UserId(author),
        created_at=nearest_ms(as_utc(created_at)),
        caption=caption or "",
        object_key=object_key,
        content_type=content_type,
        # A rejection is permanent: a thumbnail that arrives late does not make the photo ready.
        status=Status.REJECTED if reason else Status(status or Status.PROCESSING),
        reason=reason,
        # Those of another upload of this id do not count, whose facts lost.
        renditions=_unpacked(given if given_us == author_us else None) | _unpacked(added),
        deleted=bool(deleted),
    )


class CassandraAuthorPhotos(AuthorPhotos):
    """Table `photos_by_author`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._add = session.prepare(
            f"INSERT INTO photos_by_author (author_id, photo_id) VALUES (?, ?) USING TIMESTAMP {_ADDED}"
        )
        self._add_ready = session.prepare(
            "INSERT INTO photos_by_author (author_id, photo_id, ready) VALUES (?, ?, true)"
            f" USING TIMESTAMP {_ADDED}"
        )
        self._reject = session.prepare(
            f"UPDATE photos_by_author USING TIMESTAMP {_REJECTED} SET ready = false"
            " WHERE author_id = ? AND photo_id = ?"
        )
        self._remove = session.prepare(
            f"DELETE FROM photos_by_author USING TIMESTAMP {_REMOVED} WHERE author_id = ? AND photo_id = ?"
        )
        # With the current time as timestamp, which is later than all others.
        self._repair_listed = session.prepare(
            "INSERT INTO photos_by_author (author_id, photo_id, ready) VALUES (?, ?, true)"
        )
        self._repair_removed = session.prepare(
            "DELETE FROM photos_by_author WHERE author_id = ? AND photo_id = ?"
        )
        self._newest = session.prepare(
            "SELECT author_id, photo_id, ready FROM photos_by_author WHERE author_id IN ? AND photo_id < ?"
            " PER PARTITION LIMIT ?"
        )

    async def add(self, photos: Collection[tuple[PhotoId, UserId]], *, ready: bool) -> None:
        statement = self._add_ready if ready else self._add
        await self._session.batches([(statement, (author, photo)) for photo, author in photos])

    async def reject(self, author: UserId, photo: PhotoId) -> None:
        await self._session.rows(self._reject, author, photo)

    async def remove(self, author: UserId, photo: PhotoId) -> None:
        await self._session.rows(self._remove, author, photo)

    async def repair(self, author: UserId, photo: PhotoId, *, is_listed: bool) -> None:
        statement = self._repair_listed if is_listed else self._repair_removed
        await self._session.rows(statement, author, photo)

    async def newest(
        self, authors: Sequence[UserId], *, below: int, each_max: int
    ) -> dict[UserId, list[AuthorPhoto]]:
        calls = [
            self._session.rows(self._newest, list(ids), below, each_max)
            for ids in sliced(authors, AUTHORS_A_CALL)
        ]
        newest: dict[UserId, list[AuthorPhoto]] = {author: [] for author in authors}
        for rows in await asyncio.gather(*calls):
            for author, photo, ready in rows:
                newest[author].append(AuthorPhoto(photo_id=PhotoId(photo), ready=bool(ready)))
        return newest
