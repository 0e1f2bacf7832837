"""Crowds that ask two API processes for the same at once: cold readers, and readers of one giant's new post.

    python -m bench.overload.stampede [--readers 10000] [--followees 10000]

First, all readers without a timeline ask at once, until each has a complete page. Then a giant whom all of
them follow posts, and all ask at once for their page; the commands that Redis gets for the giant's list and
for the row of the post are counted. Last, a reader of 10,000 authors, among them 50 pulled ones, asks twice:
without a timeline, and with one.
"""

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from rich.console import Console

from bench.measuring.cold import ColdStart, cold_start
from bench.measuring.running import bench_arguments, bench_stack
from bench.reads import COLD_FOLLOWEES, COLD_FROM
from bench.traffic.events import fresh_photo_ids, photo_of
from infra.local.deployment import Deployment
from schemas.facts import UserFollowed
from schemas.ids import UserId
from shutterline.client.feed import TokenOf, feed_client, feed_path
from shutterline.tokens import tokens_for
from streams.stores.cache.keys import photo_key, pull_list_key

PROCESSES = ("api-1", "api-2")
GIANTS = [UserId(number) for number in range(1, 51)]
ORDINARY_FROM = 1_000_000
HYPER = UserId(900_000)
POSTS_EACH = 10
SECONDS = "shutterline_http_request_duration_seconds"
ROUTE = 'method="GET",route="/v1/feed"'
RECENT_FOLLOW_S = 1


async def make_network(deployment: Deployment, readers: Sequence[UserId], ordinary: Sequence[UserId]) -> None:
    """Every reader follows ten giants, among them the first; the hyper-follower follows all authors."""
    edges = [(reader, GIANTS[0]) for reader in readers]
    edges += [
        (reader, GIANTS[1 + (reader + k) % (len(GIANTS) - 1)])
        for reader in readers
        for k in range(COLD_FOLLOWEES - 1)
    ]
    edges += [(HYPER, author) for author in (*GIANTS, *ordinary)]
    await deployment.publish(
        deployment.outgoing(UserFollowed(follower_id=follower, followee_id=followee))
        for follower, followee in edges
    )
    await deployment.drained(1_200)
    authors = [*(GIANTS * POSTS_EACH), *ordinary]
    photos = fresh_photo_ids(len(authors))
    await deployment.publish(
        deployment.outgoing(photo_of(photo, author)) for photo, author in zip(photos, authors, strict=True)
    )
    await deployment.drained(1_200)


async def ask_at_once(
    deployment: Deployment, readers: Sequence[UserId], token_of: TokenOf, console: Console
) -> ColdStart:
    """All ask at once; prints what they got, and how long the API itself took."""
    before = _request_seconds(deployment)
    start = await cold_start(deployment, readers, token_of, processes=PROCESSES)
    after = _request_seconds(deployment)
    longer = {le: after["+Inf"] - before["+Inf"] - (after[le] - before[le]) for le in ("1.0", "2.0", "5.0")}
    console.print(
        f"{len(readers):,} readers at once: {dict(start.answers)}; all complete after {start.took_s:.1f} s; "
        f"requests that took the API more than 1 s: {longer['1.0']:.0f}, more than its deadline of 2 s: "
        f"{longer['2.0']:.0f}, more than 5 s: {longer['5.0']:.0f}"
    )
    rebuilds = ", ".join(f"{count:,} {outcome}" for outcome, count in start.rebuilds.items())
    console.print(f"rebuilds: {rebuilds}; at most {start.rebuilds_in_a_second_max:.0f} in a second")
    return start


def _request_seconds(deployment: Deployment) -> dict[str, float]:
    names = {le: f'{SECONDS}_bucket{{le="{le}",{ROUTE}' for le in ("1.0", "2.0", "5.0", "+Inf")}
    return {le: sum(deployment.metric(name, process) for process in PROCESSES) for le, name in names.items()}


@asynccontextmanager
async def commands_with(deployment: Deployment, *keys: bytes) -> AsyncIterator[Counter[bytes]]:
    """Count the commands that Redis gets for each key, from clients or from scripts."""
    found: Counter[bytes] = Counter()
    shown = {key: b"".join(_shown(byte) for byte in key) + b'"' for key in keys}

    async def watch() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", deployment.stack.server("redis").port)
        try:
            writer.write(b"MONITOR\r\n")
            while line := await reader.readline():
                found.update(key for key, text in shown.items() if text in line)
        finally:
            writer.close()

    watching = asyncio.create_task(watch())
    try:
        yield found
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _shown(byte: int) -> bytes:
    """Return the byte as MONITOR shows it."""
    special = {7: rb"\a", 8: rb"\b", 9: rb"\t", 10: rb"\n", 13: rb"\r", 34: rb"\"", 92: rb"\\"}
    if byte in special:
        return special[byte]
    return bytes([byte]) if 32 <= byte < 127 else b"\\x%02x" % byte


async def read_as_hyper_follower(deployment: Deployment, token_of: TokenOf, console: Console) -> None:
    async with feed_client(deployment.settings, token_of) as client:
        for state in ("without a timeline", "with one"):
            began_s = time.perf_counter()
            body, _ = await client.get(feed_path(20), HYPER)
            console.print(
                f"a reader of {len(GIANTS)} pulled and thousands of other authors, {state}: "
                f"{1_000 * (time.perf_counter() - began_s):.0f} ms, {len(body['items'])} photos, "
                f"{body['completeness']}"
            )
            await client.settled(feed_path(20), HYPER)


async def run(arguments: argparse.Namespace, console: Console) -> None:
    readers = [UserId(COLD_FROM + number) for number in range(arguments.readers)]
    ordinary = [UserId(ORDINARY_FROM + number) for number in range(arguments.followees - len(GIANTS))]
    with bench_stack() as stack:
        environment = {
            "SHUTTERLINE_PULL_FOLLOWERS_MIN": "100",
            "SHUTTERLINE_PUSH_AGAIN_FOLLOWERS_MAX": "99",
            "SHUTTERLINE_RECENT_FOLLOW_S": str(RECENT_FOLLOW_S),
        }
        deployment = Deployment(stack, "", environment)
        deployment.prepare()
        deployment.start_worker()
        deployment.start_api(processes=len(PROCESSES))
        with console.status("making the network"):
            await make_network(deployment, readers, ordinary)
        token_of = tokens_for(deployment.settings)
        console.print("without timelines:")
        await ask_at_once(deployment, readers, token_of, console)
        [photo] = fresh_photo_ids(1)
        await deployment.publish([deployment.outgoing(photo_of(photo, GIANTS[0]))])
        await deployment.drained(60)
        keys = pull_list_key(GIANTS[0]), photo_key(photo)
        async with commands_with(deployment, *keys) as calls:
            console.print("after a giant's post:")
            start = await ask_at_once(deployment, readers, token_of, console)
        console.print(
            f"Redis got {calls[keys[0]]:,} commands for the giant's list and {calls[keys[1]]:,} for the row "
            f"of the post, for {start.answers.total():,} requests"
        )
        await read_as_hyper_follower(deployment, token_of, console)
        deployment.stop()


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, readers=10_000, followees=10_000), Console()))


if __name__ == "__main__":
    main()
