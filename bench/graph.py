"""Load a real graph through `follows`, then post and compare every sampled feed with the file.

    python -m bench.graph PATH.tsv.gz [--posts 2000] [--readers 400] [--kill] [--nodes 3]

The expected feeds come from the file itself, not from the database. With --kill a second worker is
started and killed with -9 while edges and posts are under way. With --nodes 3 there are three brokers,
three nodes of Cassandra, and a Redis Cluster.
"""

import argparse
import asyncio
import gzip
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from bench.measuring.cpu import CpuClock, CpuUse
from bench.measuring.running import bench_arguments, bench_stack, percentiles, timed_client
from bench.traffic.events import fresh_photo_ids, upload
from infra.local.deployment import Deployment
from schemas.ids import PhotoId, UserId
from schemas.internal import SetKind
from streams.kafka.producing.load import load_edges
from streams.ports.edges import CountedSets, OutgoingEdges
from streams.stores.connect import connect

OWNERS_A_LOOK = 1_000
WALKS_AT_ONCE = 8


def read_graph(path: Path) -> list[tuple[int, int]]:
    """(follower, followee), each one higher than in the file, because 0 is no id."""
    with gzip.open(path, "rt") as lines:
        next(lines)
        return [(int(a) + 1, int(b) + 1) for a, b in (line.split() for line in lines)]


async def wrong_counts(counted_sets: CountedSets, edges: Sequence[tuple[int, int]]) -> int:
    """Accounts whose follower count is not the file's."""
    expected = Counter(followee for _, followee in edges)
    accounts = sorted({account for edge in edges for account in edge})
    wrong = 0
    for start in range(0, len(accounts), OWNERS_A_LOOK):
        batch = accounts[start : start + OWNERS_A_LOOK]
        summaries = await counted_sets.summaries(SetKind.FOLLOWERS, batch)
        wrong += sum(summaries[account].total != expected[account] for account in batch)
    return wrong


async def wrong_following(outgoing_edges: OutgoingEdges, edges: Sequence[tuple[int, int]]) -> int:
    """Accounts whose outgoing edges are not those of the file."""
    expected: dict[int, set[int]] = defaultdict(set)
    for follower, followee in edges:
        expected[follower].add(followee)
    wrong = 0
    for follower, followees in expected.items():
        stored = set(await outgoing_edges.following(UserId(follower)))
        wrong += stored != followees
    return wrong


async def difference(
    deployment: Deployment,
    edges: Sequence[tuple[int, int]],
    posts: Mapping[PhotoId, int],
    readers: Sequence[int],
) -> tuple[int, str]:
    """Ids missing, too many, twice or out of order over all readers' feeds; and how long a page took."""
    following = defaultdict(set)
    for follower, followee in edges:
        following[follower].add(followee)
    gate = asyncio.Semaphore(WALKS_AT_ONCE)
    async with timed_client(deployment) as client:

        async def differs(reader: int) -> int:
            seen = following[reader] | {reader}
            expected = sorted((photo for photo, author in posts.items() if author in seen), reverse=True)
            async with gate:
                walk = await client.walk(UserId(reader), depth=len(posts) + 1)
            if not walk.complete:
                raise TimeoutError(f"the feed of {reader} stayed incomplete")
            shown = list(walk.ids)
            return len(set(expected) ^ set(shown)) + (shown != expected)

        total = sum(await asyncio.gather(*(differs(reader) for reader in readers)))
        return total, percentiles(client.took_s)


async def run(arguments: argparse.Namespace, console: Console) -> int:
    edges = read_graph(arguments.graph)
    chosen = random.Random(arguments.seed)
    with bench_stack(arguments.nodes) as stack:
        deployment = Deployment(stack, "", {})
        deployment.prepare()
        deployment.start_worker()
        if arguments.kill:
            deployment.start_worker("worker-2")
        deployment.start_api()
        try:
            return await measure(deployment, edges, chosen, arguments, console)
        finally:
            deployment.stop()


async def measure(
    deployment: Deployment,
    edges: Sequence[tuple[int, int]],
    chosen: random.Random,
    arguments: argparse.Namespace,
    console: Console,
) -> int:
    began, before = time.monotonic(), CpuClock.read(deployment.stack)
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as shifted, Progress(console=console) as progress:
        shifted.writelines(f"{follower}\t{followee}\n" for follower, followee in edges)
        shifted.flush()
        bar = progress.add_task("publishing follows", total=len(edges))
        await asyncio.to_thread(
            load_edges, Path(shifted.name), deployment.settings, lambda count: progress.advance(bar, count)
        )
    if arguments.kill:
        deployment.stack.process("worker-2").kill()
        deployment.start_worker("worker-3")
    await deployment.drained(1_200)
    took_s = time.monotonic() - began
    use = CpuUse(before, CpuClock.read(deployment.stack))
    console.print(f"{len(edges):,} edges loaded in {took_s:.0f} s, {len(edges) / took_s:,.0f} a second")
    console.print(f"{use.each(len(edges))}; {use.limit('worker-1')}")
    async with connect(deployment.settings, timeout_ms=20_000) as stores:
        console.print(f"accounts with a wrong count: {await wrong_counts(stores.counted_sets, edges)}")
        console.print(
            f"accounts whose two tables disagree: {await wrong_following(stores.outgoing_edges, edges)}"
        )

    authors = chosen.choices([followee for _, followee in edges], k=arguments.posts)
    posts = dict(zip(fresh_photo_ids(arguments.posts), authors, strict=True))
    audience = sorted({follower for follower, followee in edges if followee in set(authors)})
    readers = chosen.sample(audience, min(arguments.readers, len(audience)))
    async with timed_client(deployment) as client:
        for reader in readers[::2]:  # These have a timeline before the posts.
            await client.walk(UserId(reader), depth=1)
    began = time.monotonic()
    records = [upload(deployment, PhotoId(photo), UserId(author)) for photo, author in posts.items()]
    half = len(records) // 2
    await deployment.publish(records[:half])
    if arguments.kill:
        deployment.stack.process("worker-3").kill()
    await deployment.publish(records[half:])
    await deployment.drained(600)
    console.print(f"{len(posts):,} posts delivered in {time.monotonic() - began:.0f} s")
    wrong, pages = await difference(deployment, edges, posts, readers)
    console.print(f"feeds of {len(readers)} readers, half of them cold: difference {wrong}; a page: {pages}")
    return 1 if wrong else 0


def main() -> int:
    arguments = bench_arguments(__doc__, "graph", posts=2_000, readers=400, seed=1, kill=False, nodes=1)
    return asyncio.run(run(arguments, Console()))


if __name__ == "__main__":
    raise SystemExit(main())
