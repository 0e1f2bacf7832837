"""The least that rows cost: the bare Cassandra driver, the same rows, in the batches of the product."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from cassandra.cluster import ResponseFuture, Session
from cassandra.query import BatchStatement, BatchType
from more_itertools import chunked

from bench.floors.records import Fields
from streams.core.eras import era_of
from streams.stores.cassandra.session import STATEMENTS_A_BATCH

IN_FLIGHT_MAX = 16
Statement = tuple[Any, tuple[object, ...]]


class Rows:
    """Statements on the tables of the product, in a keyspace of their own."""

    def __init__(self, session: Session) -> None:
        self._session = session
        edge = "(owner_id, level, bucket, member_id, removed) VALUES (?, 0, 0, ?, false) USING TIMESTAMP ?"
        count = (
            "(owner_id, level, bucket, member_id, removed, live, level_now, total)"
            " VALUES (?, 0, 0, 0, true, ?, 0, ?) USING TIMESTAMP ?"
        )
        prepare = session.prepare
        self._incoming = {
            table: (prepare(f"INSERT INTO {table} {edge}"), prepare(f"INSERT INTO {table} {count}"))
            for table in ("followers", "likers", "ready_photos")
        }
        self._following = prepare(
            "INSERT INTO following (follower_id, followee_id, removed, seen_at) VALUES (?, ?, false, ?)"
            " USING TIMESTAMP ?"
        )
        self._likes = prepare(
            "INSERT INTO likes_by_user (user_id, era, photo_id, removed) VALUES (?, ?, ?, false)"
            " USING TIMESTAMP ?"
        )
        self._photos = prepare(
            "INSERT INTO photos (photo_id, author_id, created_at, caption, object_key, content_type, status,"
            " renditions, delivery_mode, delivery_lane, delivery_reason)"
            " VALUES (?, ?, ?, ?, ?, ?, 'ready', ?, 'push', 'normal', 'few_followers')"
        )
        self._by_author = prepare(
            "INSERT INTO photos_by_author (author_id, photo_id, ready) VALUES (?, ?, true) USING TIMESTAMP 1"
        )
        self._members = prepare(
            "SELECT member_id FROM followers WHERE owner_id = ? AND level = 0 AND bucket = 0"
        )
        self._followees = prepare("SELECT followee_id, seen_at FROM following WHERE follower_id = ?")
        self._newest = prepare(
            "SELECT author_id, photo_id, ready FROM photos_by_author WHERE author_id IN ?"
            " PER PARTITION LIMIT 500"
        )
        self._rows = prepare("SELECT * FROM photos WHERE photo_id IN ?")

    def follows(self, records: Sequence[Fields]) -> None:
        """Write both directions, and the count of each followee."""
        edges = [(int(record["follower_id"]), int(record["followee_id"])) for record in records]
        now, now_us = datetime.now(UTC), time.time_ns() // 1_000
        self._write([(self._following, (*edge, now, now_us)) for edge in edges], STATEMENTS_A_BATCH)
        self._write_incoming("followers", [(owner, member) for member, owner in edges])

    def likes(self, records: Sequence[Fields]) -> None:
        """Write both directions, and the count of each photo."""
        edges = [(int(record["user_id"]), int(record["photo_id"])) for record in records]
        now_us = time.time_ns() // 1_000
        self._write(
            [(self._likes, (user, era_of(photo), photo, now_us)) for user, photo in edges], STATEMENTS_A_BATCH
        )
        self._write_incoming("likers", [(photo, user) for user, photo in edges])

    def photos(self, records: Sequence[Fields]) -> None:
        """Write each photo once, as ready, and the photo in its author's list and count."""
        statements: list[Statement] = []
        for record in records:
            photo, author = int(record["photo_id"]), int(record["author_id"])
            renditions: Any = record["renditions"]
            values = {
                name: (rendition["object_key"], rendition["width"], rendition["height"])
                for name, rendition in renditions.items()
            }
            of_photo = (
                datetime.now(UTC),
                record.get("caption", ""),
                record["object_key"],
                record["content_type"],
            )
            statements.append((self._photos, (photo, author, *of_photo, values)))
            statements.append((self._by_author, (author, photo)))
        self._write(statements, STATEMENTS_A_BATCH)
        edges = [(int(record["author_id"]), int(record["photo_id"])) for record in records]
        self._write_incoming("ready_photos", edges)

    def followers(self, authors: Iterable[int]) -> dict[int, list[int]]:
        """The followers of small accounts."""
        asked = {author: self._session.execute_async(self._members, (author,)) for author in authors}
        return {author: [row[0] for row in rows.result() if row[0]] for author, rows in asked.items()}

    def cold_page(self, reader: int, photos: int) -> list[int]:
        """What a rebuild and its page read: followees, their newest photos, the rows of the page."""
        followees = [row[0] for row in self._session.execute(self._followees, (reader,))]
        rows = self._session.execute(self._newest, (followees,))
        newest = sorted((row[1] for row in rows), reverse=True)
        self._session.execute(self._rows, (newest[:photos],))
        return newest

    def _write_incoming(self, table: str, edges: Sequence[tuple[int, int]]) -> None:
        row, count = self._incoming[table]
        now_us = time.time_ns() // 1_000
        members: dict[int, list[int]] = {}
        for owner, member in edges:
            members.setdefault(owner, []).append(member)
        statements: list[Statement] = []
        for owner, some in members.items():
            statements += [(row, (owner, member, now_us)) for member in some]
            statements.append((count, (owner, len(some), len(some), now_us)))
        self._write(statements, STATEMENTS_A_BATCH)

    def _write(self, statements: Iterable[Statement], batch_rows: int) -> None:
        flying: deque[ResponseFuture] = deque()
        for some in chunked(statements, batch_rows):
            batch = BatchStatement(batch_type=BatchType.UNLOGGED)
            for statement, values in some:
                batch.add(statement, values)
            flying.append(self._session.execute_async(batch))
            if len(flying) >= IN_FLIGHT_MAX:
                flying.popleft().result()
        for future in flying:
            future.result()
