"""Waiting until a deployment has handled everything."""

from collections.abc import Sequence

import pytest

from infra.local.deployment import Deployment
from streams.errors import StoreUnavailable

BUSY, DONE = {"check": 1, "edges": 0}, {"check": 0, "edges": 0}


class _Lagging(Deployment):
    """A deployment whose lag is the next of a list, the last one without end; an error is raised."""

    def __init__(self, *lags: dict[str, int] | StoreUnavailable, deferred: Sequence[int] = (0,)) -> None:
        self._lags = list(lags)
        self._counts = list(deferred)

    async def lag(self) -> dict[str, int]:
        lag = self._lags.pop(0) if len(self._lags) > 1 else self._lags[0]
        if isinstance(lag, StoreUnavailable):
            raise lag
        return lag

    async def deferred(self) -> int:
        return self._counts.pop(0) if len(self._counts) > 1 else self._counts[0]


async def test_a_broker_that_finds_its_groups_again_is_waited_for() -> None:
    """After it was held up it answers NOT_COORDINATOR for a moment."""
    away = StoreUnavailable("kafka", "committed", "NOT_COORDINATOR")

    assert await _Lagging(away, BUSY, DONE, DONE).drained(deadline_s=30) > 0


async def test_deferred_posts_and_what_they_become_are_waited_for() -> None:
    """A post may be published between the looks at the lag and at the table."""
    lags = (DONE, DONE, DONE, DONE, BUSY, DONE, DONE, DONE)
    deployment = _Lagging(*lags, deferred=(3, 0, 0))
    await deployment.drained(deadline_s=30)
    assert (deployment._lags, deployment._counts) == ([DONE], [0])
    with pytest.raises(TimeoutError, match="'deferred posts': 2"):
        await _Lagging(DONE, deferred=(2,)).drained(deadline_s=0)


async def test_what_is_left_at_the_deadline_is_named() -> None:
    with pytest.raises(TimeoutError, match="'check': 1"):
        await _Lagging(BUSY).drained(deadline_s=0)
    with pytest.raises(TimeoutError, match="NOT_COORDINATOR"):
        await _Lagging(StoreUnavailable("kafka", "committed", "NOT_COORDINATOR")).drained(deadline_s=0)
