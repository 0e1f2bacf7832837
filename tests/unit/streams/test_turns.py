"""Turns: however many requests a user sends at once, few of them run."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from bench.traffic.waiting import eventually
from streams.fairness import Requester
from streams.turns import REST_RATIO, REST_S_MAX, Turns


async def _running(turns: Turns, waiting: Sequence[Requester], ended: int = 0) -> Counter[Requester]:
    """Return who runs, of all who came in this order, after `ended` of the first runners have ended."""
    running: list[tuple[Requester, asyncio.Event]] = []

    async def one(requester: Requester) -> None:
        async with turns.turn(requester):
            end = asyncio.Event()
            running.append((requester, end))
            await end.wait()

    tasks = [asyncio.create_task(one(requester)) for requester in waiting]
    await _settle()
    begun = len(running)
    for _, end in running[:ended]:
        end.set()
    await eventually("others have the turns that ended", lambda: len(running) == begun + ended)
    await _settle()
    counted = Counter(requester for requester, end in running if not end.is_set())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return counted


async def _settle() -> None:
    """Let those run who can without waiting."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_requests_of_a_user_run_a_few_at_a_time() -> None:
    """Another user's run at once, however many wait."""
    turns, me, other = Turns(user_max=2, address_max=8), Requester(1), Requester(2)

    assert await _running(turns, [me] * 50 + [other]) == {me: 2, other: 1}
    assert await _running(turns, [me] * 50 + [other], ended=1) == {me: 2, other: 1}


async def test_users_of_an_address_have_their_turns_in_order() -> None:
    """A user who sends more than the others has no more of the address's turns."""
    turns = Turns(user_max=1, address_max=2)
    greedy, modest, late = (Requester(user, "192.0.2.1") for user in (1, 2, 3))
    elsewhere = Requester(4, "192.0.2.2")

    waiting = [greedy] * 50 + [modest, late, elsewhere]
    assert await _running(turns, waiting) == {greedy: 1, modest: 1, elsewhere: 1}
    assert await _running(turns, waiting, ended=1) == {modest: 1, late: 1, elsewhere: 1}


async def test_those_without_a_token_wait_for_their_address_only() -> None:
    """They all count as one user, who would otherwise shut out all."""
    turns = Turns(user_max=1, address_max=2)
    here, there = Requester(None, "192.0.2.1"), Requester(None, "192.0.2.2")

    assert await _running(turns, [here] * 5 + [there]) == {here: 2, there: 1}
    assert await _running(turns, [Requester()] * 5) == {Requester(): 5}


async def test_a_user_who_always_has_more_to_ask_rests() -> None:
    """Of the time of a turn, a request takes at most a quarter, if another one waits; no rest is longer than
    `REST_S_MAX`."""
    turns, loop = Turns(user_max=1, address_max=8), asyncio.get_running_loop()
    ran_s: list[float] = []

    async def one() -> None:
        async with turns.turn(Requester(1)):
            began_s = loop.time()
            await asyncio.sleep(0.004)
            ran_s.append(loop.time() - began_s)

    began_s = loop.time()
    await asyncio.gather(*(one() for _ in range(5)))

    rested_s = sum(min(REST_RATIO * one_s, REST_S_MAX) for one_s in ran_s[:-1])
    assert loop.time() - began_s >= sum(ran_s) + rested_s
