"""Pick users at random, evenly over the ring of tokens, without reading a table."""

import random
from collections.abc import Collection

from cassandra.query import PreparedStatement

from schemas.ids import UserId
from streams.stores.cassandra.session import CassandraSession

TOKEN_MIN, TOKEN_MAX = -(2**63), 2**63 - 1
# Small tables answer the same user again and again.
TRIES_A_USER = 4
# Most of those sampled read; the rest post, which finds authors who follow nobody.
AUTHORS_SHARE = 0.25


class CassandraSample:
    """Samples of those who follow and of those who post."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._followers = _next_key(session, "following", "follower_id")
        self._authors = _next_key(session, "photos_by_author", "author_id")

    async def users(self, count: int, seed: int) -> list[UserId]:
        """Up to `count` different users, ascending; the same for the same rows and seed.

        Raises:
            StoreUnavailable: The database did not answer.
        """
        chosen = random.Random(seed)
        authors = await self._some(self._authors, int(count * AUTHORS_SHARE), chosen, frozenset())
        return sorted([*authors, *await self._some(self._followers, count - len(authors), chosen, authors)])

    async def _some(
        self, statement: PreparedStatement, count: int, chosen: random.Random, known: Collection[UserId]
    ) -> set[UserId]:
        found: set[UserId] = set()
        for _ in range(count * TRIES_A_USER):
            if len(found) == count:
                break
            token = chosen.randint(TOKEN_MIN, TOKEN_MAX)
            # Beyond the last one the ring begins anew.
            rows = await self._session.rows(statement, token)
            rows = rows or await self._session.rows(statement, TOKEN_MIN)
            found.update(UserId(row[0]) for row in rows if row[0] not in known)
        return found


def _next_key(session: CassandraSession, table: str, key: str) -> PreparedStatement:
    """The partition that comes next on the ring at or after a token."""
    return session.prepare(f"SELECT DISTINCT {key} FROM {table} WHERE token({key}) >= ? LIMIT 1")
