"""The attacks: each is a slow client of the network, at most some hundred requests or writes a second.

An attacker with fast machines would be limited by its network; here it would take the cores of the API.
"""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count, cycle

from bench.attacks.raw_client import Connection, Target, flood, hold, until_closed
from bench.attacks.world import (
    ATTACKER,
    ATTACKER_ADDRESS,
    CROWD,
    HOT_FOLLOWEE,
    HOT_USER,
    REMOVER,
    Plan,
)

CONNECTIONS = 24
REQUESTS_PER_S = 150.0
HEADER_LINE = b"x: " + 45 * b"x" + b"\r\n"
HEADER_BYTES = 64 * 1_048_576
JPEG, JSON = "Content-Type: image/jpeg", "Content-Type: application/json"

Attack = Callable[[Target, int], Awaitable[None]]


async def nothing(target: Target, photo: int) -> None:
    """No attack: how much the two sides differ by themselves."""
    await asyncio.Event().wait()


async def large_headers(target: Target, photo: int) -> None:
    """64 MB of one header on 8 connections, 6 MB a second each."""

    async def use(connection: Connection) -> None:
        _, writer = connection
        writer.write(b"GET /v1/feed HTTP/1.1\r\nX-Large: ")
        for _ in range(HEADER_BYTES // 65_536):
            writer.write(b"x" * 65_536)
            await writer.drain()
            await asyncio.sleep(0.01)

    await hold(target, ATTACKER_ADDRESS, 8, use)


async def header_drip(target: Target, photo: int) -> None:
    """Headers at 200 bytes a second, on 100 connections."""

    async def use(connection: Connection) -> None:
        reader, writer = connection
        writer.write(b"GET /v1/feed HTTP/1.1\r\n")
        while not reader.at_eof():
            writer.write(HEADER_LINE)
            await writer.drain()
            await asyncio.sleep(len(HEADER_LINE) / 200)

    await hold(target, ATTACKER_ADDRESS, 100, use)


async def idle_connections(target: Target, photo: int) -> None:
    """3,000 connections of one address that send nothing. Refused ones are opened again, 300 a second."""

    async def use(connection: Connection) -> None:
        reader, _ = connection
        await until_closed(reader)
        await asyncio.sleep(10)

    await hold(target, ATTACKER_ADDRESS, 3_000, use)


def dripping(head: bytes, piece: bytes, pause_s: float) -> Callable[[Connection], Awaitable[None]]:
    async def use(connection: Connection) -> None:
        reader, writer = connection
        writer.write(head)
        ended = asyncio.create_task(until_closed(reader))
        try:
            while not ended.done():
                writer.write(piece)
                await writer.drain()
                await asyncio.wait([ended], timeout=pause_s)
        finally:
            ended.cancel()

    return use


async def slow_posts(target: Target, photo: int) -> None:
    """540 POSTs of one token, whose 40 bytes arrive one by one, each second."""
    head = target.request("POST", "/v1/photos", ATTACKER, JSON, "Content-Length: 40")
    await hold(target, ATTACKER_ADDRESS, 540, dripping(head, b"{", 1.0))


async def one_key(target: Target, photo: int) -> None:
    """One Idempotency-Key on 16 connections, whose images arrive at 8 kB a second."""
    head = target.request(
        "POST", "/v1/photos", ATTACKER, JPEG, "Content-Length: 20000000", "Idempotency-Key: one"
    )
    await hold(target, ATTACKER_ADDRESS, 16, dripping(head, bytes(4_096), 0.5))


async def aborted_uploads(target: Target, photo: int) -> None:
    """Images of 6 MB, begun on 4 connections at 1.3 MB a second and aborted before their last byte."""
    head = target.request("POST", "/v1/photos", ATTACKER, JPEG, "Content-Length: 6000000")

    async def use(connection: Connection) -> None:
        _, writer = connection
        writer.write(head)
        for _ in range(91):
            writer.write(bytes(65_536))
            await writer.drain()
            await asyncio.sleep(0.05)

    await hold(target, ATTACKER_ADDRESS, 4, use)


async def _flood(target: Target, requests: Iterator[bytes], addresses: Sequence[str] = ()) -> None:
    await flood(
        target,
        requests,
        connections=CONNECTIONS,
        per_s=REQUESTS_PER_S,
        addresses=list(addresses) or [ATTACKER_ADDRESS],
    )


async def follow_flood(target: Target, photo: int) -> None:
    """One token follows ever new users, and unfollows them."""
    await _flood(
        target,
        (
            target.request(method, f"/v1/social/follow/{followee}", ATTACKER)
            for followee in count(5_000_000)
            for method in ("PUT", "DELETE")
        ),
    )


async def like_flood(target: Target, photo: int) -> None:
    """One token likes and unlikes one photo."""
    path = f"/v1/photos/{photo}/like"
    await _flood(target, cycle(target.request(method, path, ATTACKER) for method in ("PUT", "DELETE")))


async def list_flood(target: Target, photo: int) -> None:
    """The user of most followees lists them, a hundred a page."""
    paths = ["/v1/social/following?limit=100", "/v1/social/followers?limit=100", f"/v1/users/{HOT_USER}"]
    await _flood(target, cycle([target.request("GET", path, HOT_USER) for path in paths]))


async def feed_flood(target: Target, photo: int) -> None:
    """One token reads the largest pages of its feed."""
    await _flood(target, cycle([target.request("GET", "/v1/feed?limit=100", CROWD[0])]))


async def feed_flood_of_address(target: Target, photo: int) -> None:
    """20 tokens of one address read the largest pages of their feeds."""
    await _flood(target, cycle([target.request("GET", "/v1/feed?limit=100", user) for user in CROWD]))


async def pipelined_feeds(target: Target, photo: int) -> None:
    """One token sends 50 requests of its feed at once on each of 8 connections, every 2 s."""
    requests = target.request("GET", "/v1/feed?limit=100", CROWD[0]) * 50

    async def use(connection: Connection) -> None:
        reader, writer = connection
        reading = asyncio.create_task(until_closed(reader))
        try:
            while not reading.done():
                writer.write(requests)
                await asyncio.wait([reading], timeout=2)
        finally:
            reading.cancel()

    await hold(target, ATTACKER_ADDRESS, 8, use)


async def unauthorized_flood(target: Target, photo: int) -> None:
    """Tokens that are nobody's: short, of 20 kB, signed wrongly, and with a key that does not exist."""
    valid = target.tokens[ATTACKER]
    claims = valid.split(".")[1]
    head = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": "none"}).encode()).decode().strip("=")
    tokens = ["nobody", "x" * 20_000, valid[:-4] + "AAAA", f"{head}.{claims}.{'A' * 342}"]
    await _flood(target, cycle(target.request("GET", "/v1/feed", None, token=token) for token in tokens))


async def open_pages(target: Target, photo: int) -> None:
    """What needs no token: probes, documents, paths that do not exist, methods that are not allowed."""
    paths = ["/readyz", "/healthz", "/openapi.json", "/docs", "/none", "/v1/none"]
    requests = [target.request("GET", path, None) for path in paths]
    requests.append(target.request("OPTIONS", "/v1/feed", None))
    await _flood(target, cycle(requests))


async def hot_follow(target: Target, photo: int) -> None:
    """The user of most followees repeats the same follow on 24 connections."""
    path = f"/v1/social/follow/{HOT_FOLLOWEE}"
    await _flood(target, cycle([target.request("PUT", path, HOT_USER)]))


async def hot_unfollow(target: Target, photo: int) -> None:
    """The user of most followees follows and unfollows the same user, and reads their feed in between."""
    path = f"/v1/social/follow/{HOT_FOLLOWEE}"
    await _flood(
        target,
        cycle(
            [
                target.request("PUT", path, HOT_USER),
                target.request("GET", "/v1/feed", HOT_USER),
                target.request("DELETE", path, HOT_USER),
                target.request("GET", "/v1/feed", HOT_USER),
            ]
        ),
    )


async def new_unfollows(target: Target, photo: int) -> None:
    """A user with many rows of former followees unfollows ever new ids; others read that user's counts."""
    await _flood(
        target,
        (target.request("DELETE", f"/v1/social/follow/{other}", REMOVER) for other in count(6_000_000)),
    )


async def hot_photo(target: Target, photo: int) -> None:
    """20 tokens of 20 addresses like and unlike one photo, together 40 times a second."""
    path = f"/v1/photos/{photo}/like"
    addresses = [f"127.0.9.{number + 1}" for number in range(len(CROWD))]
    requests = [target.request(method, path, user) for method in ("PUT", "DELETE") for user in CROWD]
    await flood(target, cycle(requests), connections=len(CROWD), per_s=40, addresses=addresses)


async def invalid_bodies(target: Target, photo: int) -> None:
    """Bodies of 60 kB that are no request: deep JSON, a wrong type."""
    deep = b"[" * 30_000 + b"]" * 30_000
    text = b'{"caption":"' + b"\\u0001" * 9_990 + b'"}'
    await _flood(
        target,
        cycle(
            target.request("POST", "/v1/photos", ATTACKER, JSON, f"Content-Length: {len(body)}", body=body)
            for body in (deep, text)
        ),
    )


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        nothing,
        large_headers,
        header_drip,
        idle_connections,
        slow_posts,
        one_key,
        aborted_uploads,
        follow_flood,
        like_flood,
        list_flood,
        feed_flood,
        feed_flood_of_address,
        pipelined_feeds,
        unauthorized_flood,
        open_pages,
        hot_follow,
        hot_unfollow,
        new_unfollows,
        hot_photo,
        invalid_bodies,
    )
}


def attack_in_slices(name: str, target: Target, plan: Plan) -> float:
    """Attack in the plan's slices; returns the seconds of CPU that the attacker used."""
    asyncio.run(_in_slices(ATTACKS[name], target, plan))
    return time.process_time()


async def _in_slices(attack: Attack, target: Target, plan: Plan) -> None:
    for begin_s, end_s in plan.attacked:
        await asyncio.sleep(begin_s - time.monotonic())
        with suppress(TimeoutError):
            async with asyncio.timeout(end_s - time.monotonic()):
                await attack(target, plan.photo)
