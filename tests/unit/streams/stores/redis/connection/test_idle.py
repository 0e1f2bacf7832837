"""Which connections are suspected to be dead."""

from redis.asyncio.connection import Connection

from streams.stores.redis.connection.idle import SUSPECT_EVERY_S, Suspicion


def test_all_connections_made_before_a_reply_was_missed_are_suspected() -> None:
    """One that is made again, or for the first time, is trusted."""
    now_s = [0.0]
    suspicion = Suspicion(lambda: now_s[0])
    old, new = Connection(), Connection()
    suspicion.connected(old)
    now_s[0] = 10.0
    assert not suspicion.suspects(old)
    suspicion.suspect_all()
    now_s[0] += 0.1
    suspicion.connected(new)

    assert suspicion.suspects(old)
    assert not suspicion.suspects(new)
    suspicion.connected(old)
    assert not suspicion.suspects(old)


def test_late_replies_replace_all_connections_at_most_once_a_second() -> None:
    """A slow server must not have to accept a new connection for every command."""
    now_s = [10.0]
    suspicion, connection = Suspicion(lambda: now_s[0]), Connection()
    suspicion.suspect_all()
    now_s[0] += SUSPECT_EVERY_S / 2
    suspicion.connected(connection)
    now_s[0] += SUSPECT_EVERY_S / 4
    suspicion.suspect_all()
    assert not suspicion.suspects(connection)

    now_s[0] += SUSPECT_EVERY_S / 4
    suspicion.suspect_all()
    assert suspicion.suspects(connection)
