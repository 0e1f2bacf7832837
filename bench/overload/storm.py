"""Millions of deliveries wait: the breaker opens, closes, all is settled, and readers notice nothing.

    python -m bench.overload.storm PATH.tsv.gz [--deliveries 6000000] [--ordinary 500] [--readers 2000]
                                   [--kill] [--openings 0]

The 300 accounts of the graph with the most followers post until so many deliveries wait; until then no worker
serves the lanes. Then ordinary accounts post, 50 a second, each looked for on the page of a follower, and two
workers serve the lanes. With --kill one of them is killed with -9 every 10 s, and another one started.
Readers read all the time; no page may show a photo twice, and at the end each feed is compared with the
graph. With --openings, the limits are so small that pages of a giant account open the breaker again and
again, so many times.
"""

import argparse
import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from bench.graph import read_graph
from bench.measuring.freshness import follow
from bench.measuring.giant import materialise_all, queue_bulk
from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.traffic.events import fresh_photo_ids, upload
from bench.traffic.readers import client_of, feed_of
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from infra.local.errors import StackError
from schemas.ids import PhotoId, UserId
from shutterline.client.feed import FeedClient
from streams.errors import StoreUnavailable
from streams.kafka.producing.producer import Producer
from streams.ports.groups import Stores
from streams.roles import Role, group_of
from streams.stores.connect import connect

LARGE_ACCOUNTS = 300
ORDINARY_FOLLOWERS = range(5, 50)
ORDINARY_EVERY_S = 0.02
POSTS_A_BATCH = 500
SMALL = {"SHUTTERLINE_BREAKER_OPEN_DELIVERIES": "20000", "SHUTTERLINE_BREAKER_CLOSE_DELIVERIES": "2000"}
GIANT_DELIVERIES = 60_000
KILL_EVERY_S = 10.0
LANES = (Role.NORMAL, Role.BULK)
DEPTH = 200
LOOK_S = 0.1
GIVE_UP_S = 1_200.0
READERS_AT_ONCE = 8

Network = Mapping[UserId, Sequence[UserId]]


@dataclass(slots=True)
class Watching:
    """Readers who read their feeds all the time; a photo twice on a page is a defect."""

    client: FeedClient
    readers: Sequence[UserId]
    pages: int = 0
    doubled: int = 0
    failed: int = 0
    took_s: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Read until cancelled."""
        await asyncio.gather(*(self._read(self.readers[n::READERS_AT_ONCE]) for n in range(READERS_AT_ONCE)))

    async def _read(self, readers: Sequence[UserId]) -> None:
        while True:
            for reader in readers:
                began_s = time.monotonic()
                try:
                    page = await self.client.page(reader, limit=100)
                except StoreUnavailable:
                    self.failed += 1
                    continue
                self.took_s.append(time.monotonic() - began_s)
                self.pages += 1
                ids = [item["photo_id"] for item in page.items]
                self.doubled += len(ids) - len(set(ids))
                await asyncio.sleep(LOOK_S)


@dataclass(slots=True)
class Posts:
    """What was posted, by author, and how long ordinary posts took to be seen."""

    by_author: dict[UserId, list[PhotoId]] = field(default_factory=lambda: defaultdict(list))
    seen_s: list[float] = field(default_factory=list)

    async def large(self, deployment: Deployment, accounts: Sequence[UserId], count: int) -> None:
        """Let the accounts post in turn."""
        photos = fresh_photo_ids(count)
        for number, photo in enumerate(photos):
            self.by_author[accounts[number % len(accounts)]].append(photo)
        await deployment.publish(
            upload(deployment, photo, accounts[number % len(accounts)]) for number, photo in enumerate(photos)
        )

    async def ordinary(
        self, deployment: Deployment, client: FeedClient, network: Network, count: int
    ) -> None:
        """Let ordinary accounts post at a steady rate, and look for each post on a follower's page."""
        accounts = ordinary_accounts(network)[:count]
        followed = Counter(follower for account in accounts for follower in network[account])

        async def post(number: int, producer: Producer) -> None:
            await asyncio.sleep(number * ORDINARY_EVERY_S)
            author = accounts[number % len(accounts)]
            # Not one who follows many of these accounts: her next 20 posts would hide this one.
            reader = min(network[author], key=followed.__getitem__)
            [photo] = fresh_photo_ids(1)
            self.by_author[author].append(photo)
            began_s = time.monotonic()
            await producer.send([upload(deployment, photo, author)])
            while str(photo) not in await _shown(client, reader):
                if time.monotonic() - began_s > GIVE_UP_S:
                    raise TimeoutError(f"{photo} of {author} is not seen")
                await asyncio.sleep(LOOK_S)
            self.seen_s.append(time.monotonic() - began_s)

        async with Producer(deployment.settings, timeout_ms=60_000) as producer:
            await asyncio.gather(*(post(number, producer) for number in range(count)))


async def _shown(client: FeedClient, reader: UserId) -> set[str]:
    with suppress(StoreUnavailable):
        return {item["photo_id"] for item in (await client.page(reader, limit=20)).items}
    return set()


class Lanes:
    """Two workers that serve the lanes, of which one is killed again and again if `kill` is given."""

    def __init__(self, deployment: Deployment, *, kill: bool) -> None:
        self.kills = 0
        self._deployment = deployment
        self._kill = kill
        self._names = [f"lanes-{number}" for number in (1, 2)]

    async def start(self) -> None:
        for name in self._names:
            await asyncio.to_thread(self._deployment.start_worker, name, LANES)

    async def run(self) -> None:
        """Kill and start until cancelled."""
        while self._kill:
            await asyncio.sleep(KILL_EVERY_S)
            name = self._names.pop(0)
            self._deployment.stack.process(f"{self._deployment.namespace}{name}").kill()
            self.kills += 1
            self._names.append(f"lanes-{self.kills + 2}")
            await asyncio.to_thread(self._deployment.start_worker, self._names[-1], LANES)


def backlog(deployment: Deployment) -> float:
    return deployment.metric("shutterline_fanout_backlog_deliveries")


def is_open(deployment: Deployment) -> bool:
    with suppress(StackError):
        return deployment.metric('shutterline_overload_switch{switch="breaker"}') == 1
    return False


async def storm(
    deployment: Deployment,
    stores: Stores,
    network: Network,
    large: Sequence[UserId],
    arguments: argparse.Namespace,
    console: Console,
) -> Posts:
    """Queue the deliveries, let ordinary accounts post, and serve the lanes until all is settled."""
    posts = Posts()
    lanes = Lanes(deployment, kill=arguments.kill)
    async with client_of(deployment) as client:
        average = sum(len(network[account]) for account in large) / len(large)
        wanted = round(arguments.deliveries / average)
        began_s = time.monotonic()
        with Progress(console=console) as progress:
            bar = progress.add_task("posting", total=wanted)
            for _ in range(0, wanted, POSTS_A_BATCH):
                await posts.large(deployment, large, POSTS_A_BATCH)
                progress.advance(bar, POSTS_A_BATCH)
        await eventually("the breaker is open", lambda: _answer(is_open(deployment)), GIVE_UP_S)
        # What comes now waits for nothing but the lanes.
        await eventually("all posts are handled", lambda: _handled(deployment), GIVE_UP_S)
        console.print(
            f"{wanted * average:,.0f} deliveries posted, {backlog(deployment):,.0f} of them in the log; the "
            f"breaker is open after {time.monotonic() - began_s:.1f} s"
        )
        await posts.ordinary(deployment, client, network, arguments.ordinary)
        console.print(f"{len(posts.seen_s)} ordinary posts are seen after {percentiles(posts.seen_s)}")
        began_s = time.monotonic()
        await lanes.start()
        killing = asyncio.create_task(lanes.run())
        await eventually("the breaker is closed", lambda: _answer(not is_open(deployment)), GIVE_UP_S)
        closed_s = time.monotonic() - began_s
        if arguments.openings:
            await open_again(deployment, stores, large[0], arguments.openings, console)
        await eventually("all is pushed", lambda: _pushed(deployment), GIVE_UP_S)
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        await deployment.drained(GIVE_UP_S)
        console.print(
            f"the breaker is closed after {closed_s:.0f} s, all is pushed after "
            f"{time.monotonic() - began_s:.0f} s; {lanes.kills} kills"
        )
    return posts


async def open_again(
    deployment: Deployment, stores: Stores, account: UserId, times: int, console: Console
) -> None:
    """Queue pages of the account until the breaker is open, and wait until it is closed, so many times."""
    for number in range(times):
        await queue_bulk(deployment, stores, GIANT_DELIVERIES, giants=[account], followers=1_000)
        await eventually("the breaker is open again", lambda: _answer(is_open(deployment)), 60)
        await eventually("the breaker is closed again", lambda: _answer(not is_open(deployment)), 120)
        console.print(f"opened {number + 1} times", end="\r")
    console.print()


async def _answer(value: bool) -> bool:
    await asyncio.sleep(LOOK_S)
    return value


async def _handled(deployment: Deployment) -> bool:
    await asyncio.sleep(LOOK_S)
    return (await deployment.lag())[group_of(deployment.namespace, Role.CHECK)] == 0


async def _pushed(deployment: Deployment) -> bool:
    await asyncio.sleep(1.0)
    return await deployment.deferred() == 0


async def difference(
    deployment: Deployment, network: Network, posts: Posts, readers: Sequence[UserId]
) -> tuple[int, int]:
    """Ids missing, too many, twice or out of order in the newest photos; and how many feeds differ."""
    following = defaultdict(list)
    for author in posts.by_author:
        for follower in network[author]:
            following[follower].append(author)
    wrong, feeds = 0, 0
    async with client_of(deployment) as client:
        for reader in readers:
            authors = [*following[reader], reader]
            expected = sorted((p for a in authors for p in posts.by_author.get(a, ())), reverse=True)[:DEPTH]
            shown = (await feed_of(client, reader, DEPTH))[:DEPTH]
            differs = len(set(expected) ^ set(shown)) + (shown != expected)
            wrong, feeds = wrong + differs, feeds + bool(differs)
    return wrong, feeds


async def run(arguments: argparse.Namespace, console: Console) -> int:
    network = network_of(arguments.graph)
    large = sorted(network, key=lambda account: len(network[account]), reverse=True)[:LARGE_ACCOUNTS]
    with bench_stack() as stack:
        deployment = Deployment(stack, "", SMALL if arguments.openings else {})
        deployment.prepare()
        deployment.start_worker("worker-1", (Role.CHECK, Role.EDGES))
        deployment.start_worker("lanes-0", LANES)
        deployment.start_api()
        async with connect(deployment.settings, timeout_ms=60_000) as stores:
            with console.status("making the network"):
                chosen = [*large, *ordinary_accounts(network)[: arguments.ordinary]]
                await follow(deployment, [(f, author) for author in chosen for f in network[author]])
                followers = sorted({follower for author in chosen for follower in network[author]})
                await materialise_all(stores, followers)
            deployment.stack.stop_process(f"{deployment.namespace}lanes-0")
            readers = random.Random(1).sample(followers, min(arguments.readers, len(followers)))
            async with client_of(deployment) as client:
                watching = Watching(client, readers)
                reading = asyncio.create_task(watching.run())
                posts = await storm(deployment, stores, network, large, arguments, console)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            console.print(
                f"{watching.pages:,} pages read meanwhile, {watching.doubled} photos twice, "
                f"{watching.failed} not answered; {percentiles(watching.took_s)}"
            )
            wrong, feeds = await difference(deployment, network, posts, readers)
        deployment.stop()
    console.print(f"feeds of {len(readers):,} readers: difference {wrong} in {feeds} feeds")
    return 1 if wrong or watching.doubled else 0


def ordinary_accounts(network: Network) -> list[UserId]:
    return [account for account, followers in network.items() if len(followers) in ORDINARY_FOLLOWERS]


def network_of(graph: Path) -> Network:
    """The followers of each account."""
    network = defaultdict(list)
    for follower, followee in read_graph(graph):
        network[UserId(followee)].append(UserId(follower))
    return network


def main() -> int:
    arguments = bench_arguments(
        __doc__, "graph", deliveries=6_000_000, ordinary=500, readers=2_000, kill=False, openings=0
    )
    return asyncio.run(run(arguments, Console()))


if __name__ == "__main__":
    raise SystemExit(main())
