"""Whom the audit looks at, and what it exports."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import cast

import pytest
from prometheus_client import REGISTRY

from schemas.ids import PhotoId, UserId
from streams import metrics
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.jobs.audit.audit import Audited, Auditor
from streams.jobs.audit.drift import Difference, Drift
from streams.jobs.audit.job import AuditJob, sampled_users
from streams.settings import AuditSettings
from streams.stores.memory.stores import memory_stores
from tests.unit.streams.jobs.audit.world import AUTHOR, ME, make_audit_world

FOUND = (Difference(Drift.COUNTS, 1, 0, None), Difference(Drift.MISSING, 1, 7, None))


@pytest.mark.parametrize("seed", range(5))
async def test_a_pass_meets_everybody_once_wherever_it_begins(seed: int) -> None:
    """If there are fewer users than it may look at, it ends when it is where it began."""
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    users = [UserId(number * 2**60 // 10) for number in range(1, 31)]
    for user in users[:20]:
        state = Membership(1, removed=False)
        await stores.outgoing_edges.write(OutgoingEdge.FOLLOWING, user, 9, state)
    for user in users[15:]:
        await stores.author_photos.add([(PhotoId(7), user)], ready=True)
    met = Counter[UserId]()
    async for some in sampled_users(stores.user_scan, 1_000, seed, part_max=3):
        assert len(some) <= 3
        met.update(some)

    assert met == Counter([*users[:20], *users[15:]])


async def test_a_pass_looks_at_no_more_than_it_may() -> None:
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    for user in range(1, 101):
        await stores.author_photos.add([(PhotoId(7), UserId(user))], ready=True)
        state = Membership(1, removed=False)
        await stores.outgoing_edges.write(OutgoingEdge.FOLLOWING, UserId(user), 9, state)
    met = [some async for some in sampled_users(stores.user_scan, 40, 1, part_max=7)]

    assert sum(map(len, met)) == 40


@dataclass
class Looking:
    """An auditor that finds the same for every part."""

    parts: list[Sequence[UserId]] = field(default_factory=list)

    async def audit(self, users: Sequence[UserId]) -> Audited:
        self.parts.append(users)
        return Audited(len(users), 10, 5, FOUND, FOUND[:1])


async def test_a_pass_ends_with_the_ownership_and_exports_what_it_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another worker audits from then on. A share is of the comparisons of the whole pass."""
    monkeypatch.setattr("streams.jobs.audit.job.PART_S", 0.0)
    world, looking = await make_audit_world(), Looking()
    owns = chain([True, False], repeat(True))
    job = AuditJob(
        AuditSettings(audit_users=8),
        world.api.memory.user_scan,
        lambda seed: cast(Auditor, looking),
        lambda: next(owns),
    )
    await job.run_once(1)
    ended, looking.parts = looking.parts, []
    before = _found()
    await job.run_once(2)

    assert len(ended) == 1
    assert {user for part in looking.parts for user in part} == {ME, AUTHOR}
    assert _found() == before + len(looking.parts)
    assert REGISTRY.get_sample_value("shutterline_audit_differences_ratio", {"compared": "graph"}) == 0.1
    assert REGISTRY.get_sample_value("shutterline_audit_differences_ratio", {"compared": "timelines"}) == 0.2


async def test_a_pass_that_could_judge_nothing_does_not_say_that_all_is_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ratio stays as it was, and the users are counted apart."""
    monkeypatch.setattr("streams.jobs.audit.job.PART_S", 0.0)
    world = await make_audit_world()
    metrics.AUDIT_RATIO.labels("graph").set(0.25)
    before = _unjudged()

    async def auditing(users: Sequence[UserId]) -> Audited:
        return Audited(len(users), 10, 5, is_judged=False)

    auditor = Looking()
    auditor.audit = auditing  # type: ignore[method-assign]
    settings = AuditSettings(audit_users=8)
    await AuditJob(
        settings, world.api.memory.user_scan, lambda seed: cast(Auditor, auditor), lambda: True
    ).run_once(1)

    assert REGISTRY.get_sample_value("shutterline_audit_differences_ratio", {"compared": "graph"}) == 0.25
    assert _unjudged() > before


def _unjudged() -> float:
    return REGISTRY.get_sample_value("shutterline_audited_users_total", {"outcome": "unjudged"}) or 0.0


async def test_passes_begin_an_interval_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long one takes; the first one begins an interval after the start."""
    now_s, begun, slept = [100.0], list[float](), list[float]()
    world = await make_audit_world()
    job = AuditJob(
        AuditSettings(audit_interval_s=600),
        world.api.memory.user_scan,
        lambda seed: cast(Auditor, Looking()),
        lambda: True,
        clock_s=lambda: now_s[0],
    )

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now_s[0] += seconds
        if len(slept) > 3:
            raise KeyboardInterrupt

    async def run_once(self: AuditJob, seed: int) -> None:
        begun.append(now_s[0])
        now_s[0] += 250 if len(begun) == 1 else 700

    monkeypatch.setattr("streams.jobs.audit.job.asyncio.sleep", sleep)
    monkeypatch.setattr(AuditJob, "run_once", run_once)
    with pytest.raises(KeyboardInterrupt):
        await job.run()

    assert begun == [700, 1_300, 2_000]


def _found() -> float:
    return REGISTRY.get_sample_value("shutterline_audit_differences_total", {"drift": "missing"}) or 0.0
