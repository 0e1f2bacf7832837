"""The monitor on a real broker in situations whose truth is known: the verdict, and the figures."""

import asyncio
from functools import partial

import pytest

from bench.lag.run import play_all
from bench.lag.scenarios import SCENARIOS
from bench.lag.scores import Score, score_of
from infra.local.stack import Stack

SECONDS_ERROR_MAX = 1.0
# It is ten by `python -m bench.lag`; a machine that is busy with other tests looks less often.
VERDICT_S_MAX = 15.0


@pytest.fixture(scope="module")
def scores(stack: Stack) -> dict[str, Score]:
    """All scenarios are played at the same time, so that they take as long as the longest."""
    kafka = stack.server("kafka")

    def start() -> None:
        kafka.start()
        kafka.wait_ready()

    play = partial(play_all, f"127.0.0.1:{kafka.port}", kill=kafka.kill, start=start)
    return {name: score_of(trace, VERDICT_S_MAX) for name, trace in asyncio.run(play()).items()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_monitor_is_right(scores: dict[str, Score], name: str) -> None:
    """Some seconds after a state began, every look says so, and STOPPED is never said of another.

    The messages are exact, and the seconds right to a second in 99 of 100 looks.
    """
    score = scores[name]

    assert [] == score.ours.wrong
    assert score.ours.took_s is not None
    assert 0 == score.ours.false_alarms
    assert 0 == score.our_errors.messages_max
    assert (score.our_errors.seconds_p99 or 0.0) <= SECONDS_ERROR_MAX
