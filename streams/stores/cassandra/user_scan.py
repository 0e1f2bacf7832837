"""A scan over all users, by token, without reading a whole table."""

from collections.abc import Sequence

from cassandra.query import PreparedStatement

from schemas.ids import UserId
from streams.ports.edges import ScannedUsers, UserScan
from streams.stores.cassandra.session import CassandraSession


class CassandraUserScan(UserScan):
    """Tables `following` and `photos_by_author`; positions are tokens."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._after = {
            ScannedUsers.FOLLOWERS: _after(session, "following", "follower_id"),
            ScannedUsers.AUTHORS: _after(session, "photos_by_author", "author_id"),
        }

    async def after(self, users: ScannedUsers, position: int, *, limit: int) -> Sequence[tuple[int, UserId]]:
        rows = await self._session.rows(self._after[users], position, limit)
        return [(token, UserId(user)) for token, user in rows]


def _after(session: CassandraSession, table: str, key: str) -> PreparedStatement:
    """Prepare the select of the next partitions after a token."""
    return session.prepare(f"SELECT DISTINCT token({key}), {key} FROM {table} WHERE token({key}) > ? LIMIT ?")
