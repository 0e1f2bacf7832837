"""Make Redis refuse, as an operator or a full machine does, and let it serve again.

Each takes a client that stays connected, and the server's data folder.
"""

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import redis

from bench.refusing.refusing import Refusing
from infra.local.stack import Stack

RedisRefusal: TypeAlias = Callable[[redis.Redis, Path], AbstractContextManager[None]]


@contextmanager
def full_memory(direct: redis.Redis, _: Path) -> Iterator[None]:
    direct.config_set("maxmemory", "1mb")
    try:
        yield
    finally:
        direct.config_set("maxmemory", "0")


@contextmanager
def failing_snapshots(direct: redis.Redis, data: Path) -> Iterator[None]:
    """Snapshots fail, because a folder has the name of the snapshot file."""
    before = str(direct.config_get("save")["save"])
    direct.config_set("save", "3600 1")
    file = data / str(direct.config_get("dbfilename")["dbfilename"])
    file.unlink(missing_ok=True)
    (file / "full").mkdir(parents=True)
    try:
        snapshot(direct, "err")
        yield
    finally:
        shutil.rmtree(file)
        snapshot(direct, "ok")
        direct.config_set("save", before)


def snapshot(direct: redis.Redis, status: str) -> None:
    event = threading.Event()
    for _ in range(200):
        if not direct.info("persistence")["rdb_bgsave_in_progress"]:
            if direct.info("persistence")["rdb_last_bgsave_status"] == status:
                return
            direct.bgsave(schedule=False)
        event.wait(0.05)
    raise AssertionError(f"no snapshot ended with {status}")


@contextmanager
def replica(direct: redis.Redis, _: Path) -> Iterator[None]:
    """Redis is a replica of a primary that does not exist."""
    direct.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        direct.replicaof("NO", "ONE")


@contextmanager
def replica_without_data(direct: redis.Redis, data: Path) -> Iterator[None]:
    direct.config_set("replica-serve-stale-data", "no")
    try:
        with replica(direct, data):
            yield
    finally:
        direct.config_set("replica-serve-stale-data", "yes")


@contextmanager
def no_permission(direct: redis.Redis, _: Path) -> Iterator[None]:
    direct.acl_setuser("default", enabled=True, categories=["-@write", "-@read", "-@scripting"])
    try:
        yield
    finally:
        direct.acl_setuser("default", enabled=True, categories=["+@all"])


@contextmanager
def busy_script(direct: redis.Redis, _: Path) -> Iterator[None]:
    direct.config_set("busy-reply-threshold", "10")
    port = direct.connection_pool.connection_kwargs["port"]

    def run() -> None:
        with redis.Redis(port=port) as other, suppress(redis.ResponseError):  # SCRIPT KILL ends it.
            other.eval("while true do end", 0)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for _try in range(10_000):
            try:
                direct.ping()
            except redis.ResponseError:
                break
        yield
    finally:
        direct.script_kill()
        thread.join()
        direct.config_set("busy-reply-threshold", "5000")


REDIS_REFUSALS: Mapping[str, RedisRefusal] = MappingProxyType(
    {
        "memory full": full_memory,
        "snapshots fail": failing_snapshots,
        "replica": replica,
        "replica without data": replica_without_data,
        "no permission": no_permission,
        "busy script": busy_script,
    }
)


@contextmanager
def refusing_redis(stack: Stack) -> Iterator[Refusing]:
    """The stack's own server."""
    server = stack.server("redis")
    with redis.Redis(port=server.port, decode_responses=True) as direct:
        direct.ping()
        yield Refusing(
            {},
            {name: partial(refusal, direct, server.data_dir) for name, refusal in REDIS_REFUSALS.items()},
        )
