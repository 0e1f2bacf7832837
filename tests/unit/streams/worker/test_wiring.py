"""Every role is wired as its own consumer group, and every event type has a handler."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.envelope import PoisonEvent, Reason
from schemas.golden import golden_examples
from streams.kafka.stages.check import DeadLettered
from streams.retrying import API_ROW_WAITS_S
from streams.roles import EVENT_ROLES, MEDIA_ROLES, Role, group_of
from streams.worker.check import edge_changes, event_handlers, rejects_photos, row_waits, takes_edges_back
from streams.worker.cleaning import wire_cleaning
from streams.worker.edges import wire_edges
from streams.worker.run import WIRINGS, wirings_of
from tests.worlds.worker import NOW_MS, shared_parts
from topics.catalogue import OUTSIDE, UPLOADS, Topic


def test_every_role_is_wired() -> None:
    """A role without a wiring would start a process that does nothing."""
    assert set(Role) == WIRINGS.keys()
    assert all(WIRINGS.values())


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.EDGES])
async def test_a_role_consumes_as_its_own_group(role: Role, tmp_path: Path) -> None:
    """Each role has one Faust app, whose id is the group for which the lag is measured."""
    shared = shared_parts(tmp_path)
    apps = [app for wire in WIRINGS[role] for app in wire(shared).apps]

    assert [group_of("t.", role)] == [app.conf.id for app in apps]


async def test_edges_are_consumed_without_an_app(tmp_path: Path) -> None:
    """A loop consumes edges instead of an app, beside the audit; it is not ready before it has partitions."""
    wired = wire_edges(shared_parts(tmp_path))

    assert (0, 2) == (len(wired.apps), len(wired.loops))
    assert not wired.is_ready()


@pytest.mark.parametrize(("roles", "cleanings"), [(MEDIA_ROLES, 1), ((Role.FULL,), 1), (EVENT_ROLES, 0)])
def test_a_process_that_makes_renditions_cleans_once(roles: Collection[Role], cleanings: int) -> None:
    """Both rendition lanes in one process share one cleaning job; event roles have none."""
    assert cleanings == wirings_of(roles).count(wire_cleaning)


async def test_every_topic_of_upstream_apps_has_a_handler(tmp_path: Path) -> None:
    """A topic without an entry in the table of handlers would never be read."""
    assert set(OUTSIDE) == event_handlers(shared_parts(tmp_path)).keys()


@pytest.mark.parametrize("topic", OUTSIDE, ids=lambda topic: topic.name)
async def test_an_old_record_of_the_api_is_not_waited_for(topic: Topic, tmp_path: Path) -> None:
    """Anybody can claim to be the API; a batch with such a record took 5 s more, in vain."""
    shared = shared_parts(tmp_path)
    settings, stores = shared.settings, shared.stores
    # One with a valid event that says to be the API's.
    example = next(example for example in golden_examples() if example.type == topic.event_types[0])
    headers = {**dict(example.record.headers), "ce_source": settings.event_source.encode()}
    record = replace(example.record, timestamp_ms=NOW_MS - 60_000, headers=tuple(headers.items()))
    waits_s, own_source = row_waits(settings, lambda: NOW_MS), settings.event_source
    changes = edge_changes(stores, shared.outbox)
    ended: DeadLettered = (
        rejects_photos(stores, shared.outbox, settings, own_source, waits_s)
        if topic is UPLOADS
        else takes_edges_back(topic, stores.outgoing_edges, changes[topic], settings, own_source, waits_s)
    )

    async with asyncio.timeout(sum(API_ROW_WAITS_S) / 2):
        await ended(record, PoisonEvent(Reason.FROM_THE_FUTURE, ""), lambda: True)
