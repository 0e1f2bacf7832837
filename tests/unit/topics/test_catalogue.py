"""The catalogue of topics, and topics.json."""

import re
from collections import Counter

import pytest

from schemas.dead_letter_headers import DEAD_LETTER_HEADERS_BYTES_MAX
from schemas.events import EventType
from topics.catalogue import (
    CATALOGUE,
    DEAD_LETTER_BYTES_MAX,
    EDGES,
    FANOUT,
    FOLLOWS,
    LIKES,
    MESSAGE_BYTES_MAX,
    OUTSIDE,
    RENDITIONS,
    Topic,
    dead_letter_of,
)
from topics.sizes import Profile
from topics.terraform import TOPICS_JSON, topics_json

DAY_MS = 86_400_000
OWN = (EDGES, FANOUT, RENDITIONS)


def test_the_catalogue_has_the_topics_of_the_contract() -> None:
    """Three public topics with their dead-letter topics, three internal ones, the clock and operations."""
    expected = {
        "uploads": 7 * DAY_MS,
        "follows": 7 * DAY_MS,
        "likes": 7 * DAY_MS,
        "edges": 7 * DAY_MS,
        "fanout": 2 * DAY_MS,
        "renditions": 7 * DAY_MS,
        "clock": 3_600_000,
        "operations": 90 * DAY_MS,
        "uploads-dlq": 30 * DAY_MS,
        "follows-dlq": 30 * DAY_MS,
        "likes-dlq": 30 * DAY_MS,
    }

    assert expected == {name: topic.retention_ms for name, topic in CATALOGUE.items()}
    assert all(name == topic.name for name, topic in CATALOGUE.items())


def test_every_topic_has_producers_and_consumers() -> None:
    """A topic also has an owner, and its name is in kebab case."""
    for topic in CATALOGUE.values():
        assert topic.owner
        assert topic.producers
        assert topic.consumers
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", topic.name)


def test_every_event_type_travels_on_exactly_one_outside_topic() -> None:
    """Every public topic has at least one event type."""
    carried = [event_type for topic in OUTSIDE for event_type in topic.event_types]

    assert Counter(carried) == Counter(EventType)
    assert all(topic.event_types for topic in OUTSIDE)


@pytest.mark.parametrize("topic", OUTSIDE, ids=lambda topic: topic.name)
def test_a_dead_letter_fits_where_its_record_fitted(topic: Topic) -> None:
    """A dead letter has the whole record, which may have the largest size, and additional
    headers."""
    room = int(dead_letter_of(topic).config["max.message.bytes"])

    assert room - int(topic.config["max.message.bytes"]) >= DEAD_LETTER_HEADERS_BYTES_MAX
    assert int(topic.config["max.message.bytes"]) > 1_048_576
    assert (room, topic.message_bytes_max) == (DEAD_LETTER_BYTES_MAX, MESSAGE_BYTES_MAX)


@pytest.mark.parametrize("topic", [*OWN, dead_letter_of(LIKES)], ids=lambda topic: topic.name)
def test_only_outside_topics_have_dead_letters(topic: Topic) -> None:
    """A record that the pipeline itself wrote can only be bad because of a bug, and a bug stops the
    worker."""
    with pytest.raises(ValueError, match="has no dead-letter topic"):
        dead_letter_of(topic)


def test_a_namespace_stands_before_the_name() -> None:
    """Production has no namespace. Each test has its own."""
    assert FOLLOWS.named("") == "follows"
    assert FOLLOWS.named("t1.") == "t1.follows"


def test_topics_json_is_fresh() -> None:
    """Terraform reads the file. `python -m topics` generates it."""
    assert topics_json() == TOPICS_JSON.read_bytes()


def test_terraform_knows_every_profile() -> None:
    """Its variable refuses what is no profile, and takes each that is one."""
    variables = (TOPICS_JSON.parents[1] / "infra/terraform/variables.tf").read_text()
    profiles = ", ".join(f'"{profile}"' for profile in Profile)

    assert f"contains([{profiles}], var.sizes)" in variables
