"""Time and memory of what each process keeps about overload, at its limit; no server is needed.

python -m bench.overload.limits [--posts 200000] [--records 1000000]
"""

import argparse
import asyncio
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from bench.measuring.running import bench_arguments
from schemas.ids import PhotoId, UserId, compose_id, id_ms
from streams.core.delivery import DeliveryReason
from streams.core.overload.backlog import PartitionBacklog
from streams.core.overload.deferral import PERIOD_MS, DeferredPost
from streams.overload.known_posts import KnownDeferredPosts
from streams.stores.memory.delivery import MemoryDeferredPosts

A_PERIOD = 20_000
FOLLOWEES = 10_000


async def measured(work: Callable[[], Awaitable[object]], count: int) -> tuple[str, str]:
    """What the work keeps in memory, for one of `count` and in all."""
    tracemalloc.start()
    await work()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return f"{kept / count:.0f} bytes", f"{kept / 2**20:.0f} MiB"


class Posts(MemoryDeferredPosts):
    """Reads make new objects, as those of the database do."""

    async def of_period(self, period: int) -> list[DeferredPost]:
        return [
            replace(
                post,
                photo_id=PhotoId(int(str(post.photo_id))),
                author_id=UserId(int(str(post.author_id))),
            )
            for post in await MemoryDeferredPosts.of_period(self, period)
        ]


def posts(count: int) -> list[DeferredPost]:
    first_ms = id_ms(PhotoId(2**60)) // PERIOD_MS * PERIOD_MS
    return [
        DeferredPost(
            photo_id=PhotoId(
                compose_id(
                    first_ms + number // A_PERIOD * PERIOD_MS, number % A_PERIOD // 1_000, number % 1_000
                )
            ),
            author_id=UserId(10**12 + number),
            reason=DeliveryReason.BREAKER,
            followers=200,
            ready_ms=first_ms,
        )
        for number in range(count)
    ]


async def run(arguments: argparse.Namespace, console: Console) -> None:
    table = Table("what", "at", "kept for one", "kept in all", "time")
    known = await deferred(arguments.posts, table)
    begun_s = time.perf_counter()
    following = dict.fromkeys(map(UserId, range(10**12, 10**12 + FOLLOWEES)), 0)
    found = known.photos_of(following.keys())
    took_ms = 1_000 * (time.perf_counter() - begun_s)
    table.add_row(
        "a page looks for them", f"{FOLLOWEES:,} followees, {len(found):,} found", "", "", f"{took_ms:.1f} ms"
    )
    backlog(arguments.records, table)
    console.print(table)


async def deferred(count: int, table: Table) -> KnownDeferredPosts:
    store = Posts()
    await store.add(posts(count))
    known = KnownDeferredPosts(store, count)
    one, every = await measured(known.refresh, count)
    again = KnownDeferredPosts(store, count)
    begun_s = time.perf_counter()
    await again.refresh()
    took_s = time.perf_counter() - begun_s
    table.add_row("deferred posts", f"{count:,}", one, every, f"{took_s:.2f} s to know all")
    return known


def backlog(count: int, table: Table) -> None:
    tracemalloc.start()
    partition = PartitionBacklog()
    for offset in range(count):
        partition.add(offset, offset, 1_000)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    begun_s = time.perf_counter()
    partition.commit(count // 2)
    took_ms = 1_000 * (time.perf_counter() - begun_s)
    table.add_row(
        "records that wait",
        f"{count:,}",
        f"{kept / count:.0f} bytes",
        f"{kept / 2**20:.0f} MiB",
        f"{took_ms:.0f} ms to commit half",
    )


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, posts=200_000, records=1_000_000), Console()))


if __name__ == "__main__":
    main()
