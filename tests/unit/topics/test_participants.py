"""The producers and consumers in the catalogue are the programs that really write and read each
topic."""

import re
from functools import cache
from pathlib import Path

import grimp
import pytest

from streams.roles import LANES, RENDITION_LANES, Role, group_of
from topics.catalogue import (
    CATALOGUE,
    CLOCK,
    EDGES,
    FANOUT,
    OPERATIONS,
    OUTSIDE,
    RENDITIONS,
    Participant,
    Topic,
)

ROOT = Path(__file__).parents[3]
# The wiring module of each worker process, and its participants in the catalogue. Both lanes of
# renditions share one wiring.
WIRINGS = {
    "streams.worker.check": {Participant.CHECK},
    "streams.worker.edges": {Participant.EDGES},
    "streams.worker.fanout": {Participant.FANOUT_NORMAL, Participant.FANOUT_BULK},
    "streams.worker.renditions": {Participant.RENDITIONS_THUMBNAIL, Participant.RENDITIONS_FULL},
    "streams.worker.cleaning": {Participant.CLEANING},
}
OWN = (EDGES, FANOUT, RENDITIONS)
DEAD_LETTERS = [topic for topic in CATALOGUE.values() if topic not in (*OUTSIDE, *OWN, CLOCK, OPERATIONS)]


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("streams", "schemas", "topics")


def written_by(wiring: str) -> set[str]:
    """Return the internal topics that are written by a module which the wiring imports, directly or
    indirectly."""
    modules = {wiring} | graph().find_upstream_modules(wiring)
    sources = [ROOT.joinpath(*module.split(".")).with_suffix(".py") for module in modules]
    texts = [source.read_text() for source in sources if source.exists()]
    return {
        topic.name for topic in OWN if any(re.search(rf"\boutbox\.{topic.name}\(", text) for text in texts)
    }


@pytest.mark.parametrize("wiring", WIRINGS)
def test_producers_are_those_whose_code_writes_the_topic(wiring: str) -> None:
    """A wrong producer would mislead an engineer who wants to know where a record comes from."""
    named = {topic.name for topic in OWN if WIRINGS[wiring] & set(topic.producers)}

    assert written_by(wiring) == named


def test_every_worker_is_a_participant() -> None:
    """The only other participants are upstream apps, the API, the cleaning job and operators."""
    others = {Participant.UPSTREAM_APPS, Participant.API, Participant.CLEANING, Participant.OPERATORS}

    assert {group_of("", role) for role in Role} == set(Participant) - others
    assert set().union(*WIRINGS.values()) == set(Participant) - others | {Participant.CLEANING}


@pytest.mark.parametrize(
    ("topics", "roles"),
    [(OUTSIDE, [Role.CHECK]), ([EDGES], [Role.EDGES]), ([FANOUT], LANES), ([RENDITIONS], RENDITION_LANES)],
)
def test_consumers_are_the_groups_that_read_the_topic(topics: list[Topic], roles: list[Role]) -> None:
    """Their names are those of the consumer groups in the lag metrics."""
    for topic in topics:
        assert [group_of("", role) for role in roles] == list(topic.consumers), topic.name


def test_every_worker_may_move_a_switch() -> None:
    """Operators read the topic, and what they do themselves is written to it."""
    assert {group_of("", role) for role in Role} == set(OPERATIONS.producers) - {Participant.OPERATORS}
    assert (Participant.OPERATORS,) == OPERATIONS.consumers


def test_dead_letters_are_written_by_who_reads_their_topic() -> None:
    """Operators read dead letters, and replay them to their topic. No program does it by itself."""
    for letters in DEAD_LETTERS:
        assert (Participant.CHECK,) == letters.producers
        assert (Participant.OPERATORS,) == letters.consumers
    assert all(Participant.OPERATORS in topic.producers for topic in OUTSIDE)
