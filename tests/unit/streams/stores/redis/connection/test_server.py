"""Which errors of Redis count as an outage, tested with redis-py's own parser of replies."""

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import (
    DataError,
    InvalidResponse,
    MaxConnectionsError,
    RedisError,
)

from streams.core.limits.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.stores.redis.connection.server import RedisServer

REFUSALS = [
    "OOM command not allowed when used memory > 'maxmemory'.",
    "OOM command not allowed when used memory > 'maxmemory'. script: 9f, on @user_script:3.",
    "READONLY You can't write against a read only replica.",
    "READONLY You can't write against a read only replica. script: 9f, on @user_script:3.",
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "NOREPLICAS Not enough good replicas to write.",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM User default has no permissions to run the 'get' command",
    "NOSCRIPT No matching script.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED 3999 127.0.0.1:6381",
    "ASK 3999 127.0.0.1:6381",
    "EXECABORT Transaction discarded because of previous errors.",
    "UNKILLABLE Sorry the script already executed write commands.",
    "ERR max number of clients reached",
    "ERR DISABLED something that a later version of the server says",
]
MALFORMED = [
    "CROSSSLOT Keys in request don't hash to the same slot",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "ERR wrong number of arguments for 'get' command",
    "ERR unknown command 'GTE', with args beginning with: 'a'",
    "ERR unknown subcommand 'LAOD'. Try SCRIPT HELP.",
    "ERR syntax error",
    "ERR value is not an integer or out of range",
    "ERR Error compiling script (new function): user_script:1: '=' expected near 'is'",
    "ERR user_script:1: Script attempted to access nil 'x' script: 9f, on @user_script:1.",
]


def from_server(reply: str) -> RedisError:
    error: RedisError = BaseParser.parse_error(reply)  # type: ignore[no-untyped-call]
    return error


async def failing(error: Exception) -> None:
    raise error


def client() -> RedisServer:
    return RedisServer("redis://127.0.0.1:1/0", Breaker(failures_max=100, open_s=1.0), 1.0)


@pytest.mark.parametrize("reply", REFUSALS)
async def test_what_a_running_server_refuses_is_an_outage(reply: str) -> None:
    """redis-py removes the code from most of these replies, so the exception's class decides."""
    with pytest.raises(StoreUnavailable):
        await client().call("get", failing, from_server(reply))


@pytest.mark.parametrize("error", [InvalidResponse("?"), MaxConnectionsError("64"), OSError("reset")])
async def test_a_broken_connection_is_an_outage(error: Exception) -> None:
    """So is a server that does not speak the Redis protocol."""
    with pytest.raises(StoreUnavailable):
        await client().call("get", failing, error)


@pytest.mark.parametrize("error", [*map(from_server, MALFORMED), DataError("a list is no key")])
async def test_a_malformed_command_is_our_bug(error: RedisError) -> None:
    """No retry can make the server accept it."""
    with pytest.raises(type(error)) as raised:
        await client().call("get", failing, error)
    assert raised.value is error
