"""The catalogue as topics.json, which Terraform reads; a test fails while the file is stale."""

from pathlib import Path

import orjson

from topics.catalogue import CATALOGUE, Topic
from topics.sizes import SIZES, Sizes

TOPICS_JSON = Path(__file__).parent / "topics.json"


def topics_json() -> bytes:
    """The bytes of the file: each topic's settings, producers, consumers, and sizes by profile."""
    document = {name: _entry(topic) for name, topic in CATALOGUE.items()}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _entry(topic: Topic) -> dict[str, object]:
    return {
        "config": dict(topic.config),
        "owner": topic.owner,
        "producers": topic.producers,
        "consumers": topic.consumers,
        "profiles": {profile.value: _profile(topic, sizes) for profile, sizes in SIZES.items()},
    }


def _profile(topic: Topic, sizes: Sizes) -> dict[str, object]:
    ranges = {lane.value: sizes.range_of(topic, lane) for lane in topic.lanes}
    return {
        "partitions": sizes.partitions(topic),
        "lanes": {lane: [partitions.start, partitions.stop] for lane, partitions in ranges.items()},
    }
