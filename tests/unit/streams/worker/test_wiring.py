"""Every role is wired as its own consumer group, and every event type has a handler."""

from collections.abc import Collection
from pathlib import Path

import pytest

from streams.roles import EVENT_ROLES, MEDIA_ROLES, Role, group_of
from streams.worker.check import event_handlers
from streams.worker.cleaning import wire_cleaning
from streams.worker.edges import wire_edges
from streams.worker.run import WIRINGS, wirings_of
from tests.worlds.worker import shared_parts
from topics.catalogue import OUTSIDE


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
    """A loop consumes edges instead of an app; it is not ready before it has its partitions."""
    wired = wire_edges(shared_parts(tmp_path))

    assert (0, 1) == (len(wired.apps), len(wired.loops))
    assert not wired.is_ready()


@pytest.mark.parametrize(("roles", "cleanings"), [(MEDIA_ROLES, 1), ((Role.FULL,), 1), (EVENT_ROLES, 0)])
def test_a_process_that_makes_renditions_cleans_once(roles: Collection[Role], cleanings: int) -> None:
    """Both rendition lanes in one process share one cleaning job; event roles have none."""
    assert cleanings == wirings_of(roles).count(wire_cleaning)


async def test_every_topic_of_upstream_apps_has_a_handler(tmp_path: Path) -> None:
    """A topic without an entry in the table of handlers would never be read."""
    assert set(OUTSIDE) == event_handlers(shared_parts(tmp_path)).keys()
