"""Restart Redis with older data while photos are posted.

    python -m bench.rollback [--seconds 30]

The bench copies Redis's files, goes on posting for `--seconds`, kills Redis, and starts it with the
copied files. It fails unless afterwards the feed of each of 40 readers has every photo once, newest
first. It prints how many records of `fanout` were applied again, how long that took after Redis was
back, and how many timelines were rebuilt, which should be none.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench.measuring.running import bench_arguments, bench_stack
from bench.traffic.posting import Posting, everybody_follows_everybody
from bench.traffic.readers import client_of, feed_of
from bench.traffic.redis_servers import RedisServers
from infra.local.deployment import Deployment
from infra.local.stack import Stack

REPAIRED = "shutterline_timeline_repaired_records_total"
REPAIRS = 'shutterline_timeline_repairs_total{outcome="repaired"}'
REBUILDS = "shutterline_rebuilds_total"
LOOK_S = 0.1
AFTER_S = 5.0


async def roll_back(stack: Stack, seconds: float) -> float:
    """Restore the data that Redis had `seconds` ago; returns the time at which it was ready."""
    servers = RedisServers(stack)
    with tempfile.TemporaryDirectory() as older:
        await asyncio.to_thread(servers.copy, Path(older))
        await asyncio.sleep(seconds)
        await asyncio.to_thread(servers.roll_back, Path(older))
    return time.monotonic()


async def until_repaired(deployment: Deployment) -> None:
    """Wait until no partition has been repaired for two seconds."""
    repairs, steady_s = -1.0, time.monotonic()
    while time.monotonic() - steady_s < 2:
        now = deployment.metric(REPAIRS)
        if now != repairs:
            repairs, steady_s = now, time.monotonic()
        await asyncio.sleep(LOOK_S)


async def run(seconds: float, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "")
        deployment.prepare()
        deployment.start_all()
        readers, authors = await everybody_follows_everybody(deployment)
        async with client_of(deployment) as client:
            for reader in readers:
                await feed_of(client, reader)
            rebuilt = deployment.metric(REBUILDS, "api")
            posting = Posting(deployment, authors)
            await asyncio.sleep(AFTER_S)
            before = len(posting.photos)
            back_s = await roll_back(stack, seconds)
            lost = len(posting.photos) - before
            await until_repaired(deployment)
            took_s = time.monotonic() - back_s - 2
            await asyncio.sleep(AFTER_S)
            await posting.stop()
            await deployment.drained()
            wrong = 0
            for reader in readers:
                wrong += await feed_of(client, reader) != posting.newest_first
        console.print(
            f"Redis {seconds:.0f} s older, {lost} photos posted meanwhile and {len(posting.photos)} in all: "
            f"{wrong} of {len(readers)} feeds differ; "
            f"{deployment.metric(REPAIRED):.0f} records applied again within {took_s:.1f} s; "
            f"{deployment.metric(REBUILDS, 'api') - rebuilt:.0f} timelines rebuilt"
        )
        deployment.stop()
    if wrong:
        raise SystemExit(1)


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, seconds=30.0).seconds, Console()))


if __name__ == "__main__":
    main()
