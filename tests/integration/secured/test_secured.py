"""All four stores ask for a login over TLS: everything works with the settings alone, and nothing without."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pyvips  # type: ignore[import-untyped]

from bench.traffic.events import follows, fresh_photo_ids, fresh_users, upload
from bench.traffic.readers import client_of, feed_of
from bench.traffic.waiting import wait_until
from infra.local import ports
from infra.local.deployment import Deployment
from infra.local.paths import shared_library
from infra.local.secured.certificates import Authority
from infra.local.secured.terminator import TerminatorServer
from infra.local.stack import Stack
from schemas.facts import PhotoLiked
from schemas.ids import UserId
from shutterline.client.upload import PhotoFile, upload_client
from shutterline.tokens import tokens_for
from streams.kafka.offsets.offsets import Offsets
from streams.stores.cassandra.session import connect_to
from streams.stores.connect import redis_client
from streams.stores.s3.bucket import s3_client
from tests.integration.processes.log_lines import sentence_of
from topics.catalogue import CATALOGUE
from topics.sizes import Profile

ENDS_S_MAX = 60.0
READY_S_MAX = 60.0
JPEG = "image/jpeg"
STORES = ("kafka", "cassandra", "redis", "s3")
WRONG = "not the secret"
AT_ONCE = 4


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("secured"), secured=True, dies_with_parent=True)
    try:
        made.start_servers()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def running(secured: Stack) -> Iterator[Deployment]:
    """A deployment with all of its processes."""
    made = Deployment(secured, "trunning.")
    made.prepare()
    made.start_all(media=True)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def idle(secured: Stack) -> Deployment:
    """A deployment without processes."""
    made = Deployment(secured, "tidle.")
    made.prepare()
    return made


@pytest.fixture(scope="module")
def expired(secured: Stack) -> Iterator[Mapping[str, str]]:
    """For each store an address in front of it whose certificate has expired."""
    chosen: dict[str, int] = {}
    for store in STORES:
        port = secured.port(store)
        assert port is not None
        chosen |= {store: ports.unused(chosen.values()), f"{store}_plain": port}
    server = TerminatorServer(secured.home, shared_library(), chosen, dies_with_parent=True, name="expired")
    authority = Authority(secured.home.secrets)
    authority.issue(authority.identity(server.name), datetime.now(UTC) - timedelta(minutes=1))
    server.start()
    server.wait_ready()
    yield {store: f"127.0.0.1:{chosen[store]}" for store in STORES}
    server.stop()


async def test_events_become_feeds_and_counts(running: Deployment) -> None:
    """A follow, a ready photo and a like pass every client of Kafka, Cassandra and Redis."""
    (reader, author), [photo] = fresh_users(2), fresh_photo_ids(1)
    await running.publish([*follows(running, [(reader, author)]), upload(running, photo, author)])
    await running.publish([running.outgoing(PhotoLiked(photo_id=photo, user_id=reader))])
    await running.drained()

    async with client_of(running) as client:
        feed = await feed_of(client, reader)
        shown, _ = await client.get(f"/v1/photos/{photo}", reader)
        user, _ = await client.get(f"/v1/users/{author}", reader)
        async with client.http.get(f"{client.api}/readyz") as answer:
            ready = answer.status

    assert [photo] == feed
    assert (1, True) == (shown["like_count"], shown["liked"])
    assert (1, 1) == (user["followers"], user["photos"])
    assert 200 == ready


@pytest.mark.parametrize("by", ["signed URL", "body"])
async def test_an_upload_gets_its_renditions(running: Deployment, tmp_path: Path, by: str) -> None:
    """The original goes to S3 over TLS from the client or from the API, the renditions from the worker."""
    [author] = fresh_users(1)
    image = tmp_path / "photo.jpg"
    pyvips.Image.black(400, 200, bands=3).jpegsave(str(image))
    tokens = tokens_for(running.settings)
    async with upload_client(running.settings, tokens, waiting=lambda _: None) as client:
        if by == "signed URL":
            photo = await client.upload(author, PhotoFile.of(image, 1_000_000), "", lambda _: None)
        else:
            photo = await _post(running, tokens(author), image.read_bytes())
        shown = await client.settled(author, photo, READY_S_MAX)
        async with client.http.get(shown["renditions"]["thumbnail"]["url"]) as answer:
            thumbnail = pyvips.Image.new_from_buffer(await answer.read(), "")

    assert "ready" == shown["status"]
    assert (150, 75) == (thumbnail.width, thumbnail.height)


async def _post(deployment: Deployment, token: str, body: bytes) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": JPEG}
    async with httpx.AsyncClient(base_url=deployment.settings.api, timeout=READY_S_MAX) as client:
        answer = await client.post("/v1/photos", headers=headers, content=body)
    assert 202 == answer.status_code, answer.text
    return answer.json()["photo_id"]


@pytest.fixture(scope="module")
def with_an_edge(running: Deployment) -> Deployment:
    """There is somebody to check."""

    async def published() -> None:
        await running.publish(follows(running, [(UserId(1), UserId(2))]))
        await running.drained()

    asyncio.run(published())
    return running


@pytest.mark.parametrize(
    "command",
    [
        ["topics"],
        ["topics", "grow", "likes", "9"],
        ["topics", "renew"],
        ["migrate"],
        ["publish", "user.followed", "--follower", "1", "--followee", "2"],
        ["inspect", "user", "1"],
        ["check", "--users", "1"],
        ["warm-timelines"],
        ["clean-media"],
        ["revoke", "token", "of-nobody"],
    ],
    ids=" ".join,
)
def test_commands_get_in(with_an_edge: Deployment, command: list[str]) -> None:
    ended = run(with_an_edge, command, {})

    assert (0, "") == (ended.returncode, ended.stderr), ended.stdout


def wrong_settings(stack: Stack, expired: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
    """What can never succeed by waiting, by name, and the settings that differ for it."""
    environment = stack.environment()
    security = json.loads(environment["SHUTTERLINE_KAFKA_SECURITY"])
    redis, _, address = environment["SHUTTERLINE_REDIS"].rpartition("@")
    return {
        "kafka login": {"KAFKA_SECURITY": json.dumps({**security, "sasl.password": WRONG})},
        "kafka certificate": {"KAFKA": expired["kafka"]},
        "cassandra login": {"CASSANDRA_PASSWORD": WRONG},
        "cassandra certificate": {"CASSANDRA": expired["cassandra"]},
        "cassandra data centre": {"CASSANDRA_DATACENTER": "nowhere"},
        "redis login": {"REDIS": f"rediss://shutterline:{WRONG.replace(' ', '%20')}@{address}"},
        "redis certificate": {"REDIS": f"{redis}@{expired['redis']}/0"},
        "s3 secret": {"S3_SECRET_KEY": WRONG},
        "s3 key": {"S3_ACCESS_KEY": "nobody"},
        "s3 certificate": {"S3": f"https://{expired['s3']}"},
        "profile": {"SIZES": Profile.SMALL.value},
    }


# Of each the value, the rule, and what to do.
SENTENCES: Mapping[str, Sequence[str]] = {
    "kafka login": ("kafka at", "'shutterline'", "password is wrong", "SHUTTERLINE_KAFKA_SECURITY"),
    "kafka certificate": ("kafka at", "certificate has expired", "ssl.ca.location"),
    "cassandra login": ("'shutterline'", "password is wrong", "SHUTTERLINE_CASSANDRA_PASSWORD"),
    "cassandra certificate": ("cassandra at", "certificate has expired", "SHUTTERLINE_CASSANDRA_TLS_CA"),
    "cassandra data centre": ("'nowhere'", "only datacenter1", "SHUTTERLINE_CASSANDRA_DATACENTER"),
    "redis login": ("redis at", "'shutterline'", "password is wrong", "SHUTTERLINE_REDIS"),
    "redis certificate": ("redis at", "certificate has expired", "SHUTTERLINE_REDIS_TLS_CA"),
    "s3 secret": ("s3 at", "its secret is wrong", "SHUTTERLINE_S3_SECRET_KEY"),
    "s3 key": ("'nobody'", "wrong", "SHUTTERLINE_S3_ACCESS_KEY"),
    "s3 certificate": ("s3 at", "certificate has expired", "SHUTTERLINE_S3_TLS_CA"),
    "profile": ('the profile "small" says', "SHUTTERLINE_SIZES"),
}
CASES = [
    *((command, wrong) for wrong in SENTENCES for command in ("worker", "api")),
    *(("migrate", wrong) for wrong in SENTENCES if wrong.startswith("cassandra")),
    *(("topics", wrong) for wrong in SENTENCES if wrong.startswith("kafka")),
]


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process of each case ended, and what the stores had before the first and after the last."""

    processes: Mapping[tuple[str, str], "Future[subprocess.CompletedProcess[str]]"]
    before: Mapping[str, object]
    after: Mapping[str, object]


@pytest.fixture(scope="module")
def ended(secured: Stack, idle: Deployment, expired: Mapping[str, str]) -> Ended:
    """Some run at the same time, because each waits for the answers of its stores."""
    settings, before = wrong_settings(secured, expired), asyncio.run(written(idle))
    processes, used = {}, list[int]()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for command, wrong in CASES:
            used.append(ports.unused(used))
            own = {"API": f"http://127.0.0.1:{used[-1]}", "PROCESS": f"wrong-{len(used)}"}
            processes[command, wrong] = threads.submit(run, idle, [command], {**own, **settings[wrong]})
    return Ended(processes, before, asyncio.run(written(idle)))


@pytest.mark.parametrize(("command", "wrong"), CASES)
def test_what_waiting_cannot_correct_ends_a_process(ended: Ended, command: str, wrong: str) -> None:
    """One line with the value, the rule and the next step; exit code 1; no secret shown."""
    process = ended.processes[command, wrong].result()

    assert 1 == process.returncode, process.stderr
    [line] = map(sentence_of, process.stderr.splitlines())
    assert [] == [part for part in SENTENCES[wrong] if part not in line], line
    assert WRONG not in line


def test_what_waiting_cannot_correct_has_written_nothing(ended: Ended) -> None:
    """No record, row, key or object of any of these processes."""
    assert ended.before == ended.after


@pytest.mark.parametrize("command", ["worker", "api"])
def test_stores_that_do_not_answer_are_waited_for(idle: Deployment, command: str, tmp_path: Path) -> None:
    """Also over TLS: they may come back as the settings say."""
    nowhere = f"127.0.0.1:{ports.unused(())}"
    away = {
        "KAFKA": nowhere,
        "CASSANDRA": nowhere,
        "REDIS": f"rediss://shutterline:password@{nowhere}/0",
        "S3": f"https://{nowhere}",
    }
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(arguments(command), env=environment_of(idle, away), stderr=file)
    try:
        wait_until("three tries", lambda: log.read_text().count("still starting") >= 3)
        process.terminate()
        status = process.wait(ENDS_S_MAX)
    finally:
        process.kill()
        process.wait()

    assert 0 == status


def arguments(*command: str) -> list[str]:
    return [sys.executable, "-m", "shutterline", *command]


def environment_of(deployment: Deployment, settings: Mapping[str, str]) -> dict[str, str]:
    own = {f"SHUTTERLINE_{name}": value for name, value in settings.items()}
    run_dir = {"SHUTTERLINE_RUN_DIR": str(deployment.stack.home.run), "SHUTTERLINE_PROCESS": "alone"}
    return {**os.environ, **deployment.environment, **run_dir, **own}


def run(
    deployment: Deployment, command: Sequence[str], settings: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        arguments(*command),
        env=environment_of(deployment, settings),
        capture_output=True,
        text=True,
        timeout=ENDS_S_MAX,
        check=False,
    )


async def written(deployment: Deployment) -> Mapping[str, object]:
    """What the stores have of this deployment: records, rows, keys, objects."""
    settings, sizes = deployment.settings, deployment.sizes
    logs = [
        (topic.named(deployment.namespace), partition)
        for topic in CATALOGUE.values()
        for partition in range(sizes.partitions(topic))
    ]
    redis = redis_client(settings, ENDS_S_MAX)
    try:
        [server] = await redis.servers()
        pattern = f"*{deployment.namespace}*".encode()
        keys = await server.call("KEYS", server.ask, b"KEYS", pattern)
    finally:
        await redis.close()
    async with s3_client(settings, ENDS_S_MAX) as client:
        listed = await client.list_objects_v2(Bucket=settings.s3_bucket, Prefix=settings.object_prefix)
    return {
        "kafka": await Offsets(settings).ends(logs),
        "cassandra": rows_of(deployment),
        "redis": sorted(keys),
        "s3": listed["KeyCount"],
    }


def rows_of(deployment: Deployment) -> Mapping[str, int]:
    """The rows of each table."""
    keyspace = deployment.settings.keyspace
    session = connect_to(keyspace, deployment.settings, ENDS_S_MAX)
    try:
        tables = list(session.cluster.metadata.keyspaces[keyspace].tables)
        return {table: session.execute(f"SELECT count(*) FROM {table}").one()[0] for table in tables}
    finally:
        session.cluster.shutdown()
