"""Pick random users, evenly over the token ring, without reading a whole table."""

import random
from collections.abc import Collection

from cassandra.query import PreparedStatement

from schemas.ids import UserId
from streams.stores.cassandra.session import TOKEN_MAX, TOKEN_MIN, CassandraSession

# In a small table many random tokens select the same user, so a new user may take several tries.
TRIES_A_USER = 4
# The share of authors in a sample; the rest are followers. Authors are sampled too, because some of
# them follow nobody.
AUTHORS_SHARE = 0.25


class CassandraSample:
    """Samples of followers and of authors."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._followers = _next_key(session, "following", "follower_id")
        self._authors = _next_key(session, "photos_by_author", "author_id")

    async def users(self, count: int, seed: int) -> list[UserId]:
        """Return up to `count` different users, ascending; the same for the same rows and seed.

        Raises:
            StoreUnavailable: The database is unavailable.
        """
        rng = random.Random(seed)
        authors = await self._sample(self._authors, int(count * AUTHORS_SHARE), rng, frozenset())
        followers = await self._sample(self._followers, count - len(authors), rng, authors)
        return sorted([*authors, *followers])

    async def _sample(
        self, statement: PreparedStatement, count: int, rng: random.Random, excluded: Collection[UserId]
    ) -> set[UserId]:
        users: set[UserId] = set()
        for _ in range(count * TRIES_A_USER):
            if len(users) == count:
                break
            rows = await self._session.rows(statement, rng.randint(TOKEN_MIN, TOKEN_MAX))
            # After the last partition the ring continues with the first.
            rows = rows or await self._session.rows(statement, TOKEN_MIN)
            users.update(UserId(row[0]) for row in rows if row[0] not in excluded)
        return users


def _next_key(session: CassandraSession, table: str, key: str) -> PreparedStatement:
    """Prepare the select of the first partition at or after a token."""
    return session.prepare(f"SELECT DISTINCT {key} FROM {table} WHERE token({key}) >= ? LIMIT 1")
