"""150,000 records wait: posts of small authors are deferred, seen at once, and settled.

    python -m bench.overload.shed [--records 150000] [--posts 300]

Nobody serves the lanes. Records of one account are queued until authors with fewer than 10 followers are
shed. Then such authors post, 50 a second, and each post is looked for on the page of a follower. Then a
worker serves the lanes, until all is settled, and every follower's feed is compared with what was posted.
"""

import argparse
import asyncio
import time
from contextlib import suppress

from rich.console import Console

from bench.measuring.followers import load_followers
from bench.measuring.giant import GIANT, giant_followers, materialise_all, queue_bulk
from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.overload.storm import LANES, Network, Posts, difference
from bench.traffic.readers import client_of
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from infra.local.errors import StackError
from schemas.ids import UserId
from streams.roles import Role
from streams.stores.connect import connect

AUTHORS, AUTHOR_FROM, READER_FROM = 60, 2_000_000, 3_000_000
AUTHOR_FOLLOWERS = 5
RECORD_FOLLOWERS = 12  # More than authors have who are shed.
LOOK_S = 0.1
SETTLED_S_MAX = 900.0


def network_of() -> Network:
    """Authors of five followers each, of which each follows one."""
    return {
        UserId(AUTHOR_FROM + author): [
            UserId(READER_FROM + AUTHOR_FOLLOWERS * author + number) for number in range(AUTHOR_FOLLOWERS)
        ]
        for author in range(AUTHORS)
    }


async def is_shedding(deployment: Deployment, expected: bool) -> bool:
    await asyncio.sleep(LOOK_S)
    with suppress(StackError):
        return (deployment.metric('shutterline_overload_switch{switch="shedding"}') == 1) is expected
    return False


async def run(arguments: argparse.Namespace, console: Console) -> int:
    network = network_of()
    readers = [reader for followers in network.values() for reader in followers]
    with bench_stack() as stack:
        deployment = Deployment(stack, "", {})
        deployment.prepare()
        async with connect(deployment.settings, timeout_ms=60_000) as stores:
            for author, followers in network.items():
                await load_followers(stores, deployment.settings, author, followers, followers)
            await load_followers(stores, deployment.settings, GIANT, giant_followers(RECORD_FOLLOWERS), ())
            await materialise_all(stores, readers)
            deployment.start_worker("worker-1", (Role.CHECK, Role.EDGES))
            deployment.start_api()
            with console.status("queueing"):
                wanted = arguments.records * RECORD_FOLLOWERS
                await queue_bulk(deployment, stores, wanted, followers=RECORD_FOLLOWERS)
            await eventually("shedding", lambda: is_shedding(deployment, True), 60)
        waiting = deployment.metric("shutterline_fanout_backlog_records")
        posts = Posts()
        async with client_of(deployment) as client:
            await posts.ordinary(deployment, client, network, arguments.posts)
        console.print(
            f"{waiting:,.0f} records wait; of {len(posts.seen_s)} posts of authors of {AUTHOR_FOLLOWERS} "
            f"followers {await deployment.deferred()} are deferred, seen after {percentiles(posts.seen_s)}"
        )
        began_s = time.monotonic()
        deployment.start_worker("lanes-1", LANES)
        await eventually("no more shedding", lambda: is_shedding(deployment, False), SETTLED_S_MAX)
        ended_s = time.monotonic() - began_s
        await deployment.drained(SETTLED_S_MAX)
        console.print(
            f"shedding ends after {ended_s:.0f} s, all is pushed after {time.monotonic() - began_s:.0f} s"
        )
        wrong, feeds = await difference(deployment, network, posts, readers)
        deployment.stop()
    console.print(f"feeds of {len(readers):,} readers: difference {wrong} in {feeds} feeds")
    return 1 if wrong else 0


def main() -> int:
    return asyncio.run(run(bench_arguments(__doc__, records=150_000, posts=300), Console()))


if __name__ == "__main__":
    raise SystemExit(main())
