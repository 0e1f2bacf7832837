"""The other users: they read pages at a fixed rate, open loop, and post and like now and then."""

import asyncio
import time
from dataclasses import dataclass
from itertools import cycle

import aiohttp

from bench.attacks.raw_client import Target
from bench.attacks.world import AUTHORS, HOT_USER, OTHERS, REMOVER, Plan

PAGES_PER_S = 40
WRITE_EVERY_PAGES = 20
IMAGE = bytes(20_000)
PARTIAL = b'"completeness":"partial"'
TIMEOUT_S = 30.0
DETAIL_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Response:
    """One response. `status` is 0 without one; the time begins when the request was due.

    `detail` is the end of the body of a refusal.
    """

    due_s: float
    took_s: float
    request: str
    status: int
    is_partial: bool
    detail: str

    @property
    def is_page(self) -> bool:
        return self.request.startswith("GET")

    @property
    def is_refused(self) -> bool:
        return not 200 <= self.status < 300


def responses_and_cpu(target: Target, plan: Plan) -> tuple[list[Response], float]:
    """Run `live` in this process; returns the responses, and the seconds of CPU that this took."""
    responses = asyncio.run(live(target, plan))
    return responses, time.process_time()


async def live(target: Target, plan: Plan) -> list[Response]:
    """Live through the plan; returns every response."""
    responses: list[Response] = []
    sessions = [_session(target, number) for number in range(len(OTHERS))]

    async def one(due_s: float, number: int, method: str, path: str) -> None:
        await asyncio.sleep(due_s - time.monotonic())
        status, body = 0, b""
        try:
            data = IMAGE if method == "POST" else None
            headers = {"Content-Type": "image/jpeg"} if data else None
            async with sessions[number % len(sessions)].request(
                method, path, data=data, headers=headers
            ) as response:
                body, status = await response.read(), response.status
        except (aiohttp.ClientError, TimeoutError):
            pass
        took_s = time.monotonic() - due_s
        detail = "" if 200 <= status < 300 else body.decode(errors="replace")[-DETAIL_CHARACTERS:]
        responses.append(Response(due_s, took_s, f"{method} {path}", status, PARTIAL in body[-200:], detail))

    try:
        await asyncio.gather(*(one(*request) for request in _requests(plan)))
    finally:
        await asyncio.gather(*(session.close() for session in sessions))
    return responses


def _requests(plan: Plan) -> list[tuple[float, int, str, str]]:
    """Return when each request is due, the number of its user, its method and its path."""
    pages = cycle(
        ["/v1/feed?limit=20"] * 7
        + [f"/v1/users/{REMOVER}", f"/v1/photos/{plan.photo}", f"/v1/users/{AUTHORS[0]}/photos"]
        + ["/v1/feed?limit=20"] * 7
        + [f"/v1/users/{HOT_USER}", "/v1/social/following?limit=20", "/v1/social/followers?limit=20"]
    )
    like = f"/v1/photos/{plan.photo}/like"
    writes = cycle([("PUT", like), ("POST", "/v1/photos"), ("DELETE", like)])
    requests = []
    for number in range(int((plan.end_s - plan.begin_s) * PAGES_PER_S)):
        due_s = plan.begin_s + number / PAGES_PER_S
        requests.append((due_s, number, "GET", next(pages)))
        if number % WRITE_EVERY_PAGES == 0:
            # Another user than the page's, so that each user writes.
            requests.append((due_s, number + number // WRITE_EVERY_PAGES, *next(writes)))
    return requests


def _session(target: Target, number: int) -> aiohttp.ClientSession:
    """Each user has an address."""
    return aiohttp.ClientSession(
        f"http://{target.host}:{target.port}",
        connector=aiohttp.TCPConnector(limit=0, local_addr=(f"127.0.7.{number + 1}", 0)),
        headers={"Authorization": f"Bearer {target.tokens[OTHERS[number]]}"},
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
    )
