"""The catalogue as topics.json, which Terraform reads; a test fails while the file is stale."""

from pathlib import Path

import orjson

from topics.catalogue import CATALOGUE, Topic

TOPICS_JSON = Path(__file__).parent / "topics.json"


def topics_json() -> bytes:
    """The bytes of the file: for each topic its partitions, settings, lanes, producers and consumers."""
    document = {name: _entry(topic) for name, topic in CATALOGUE.items()}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _entry(topic: Topic) -> dict[str, object]:
    return {
        "partitions": topic.partitions,
        "config": dict(topic.config),
        "lanes": {lane_range.lane.value: [lane_range.lo, lane_range.hi] for lane_range in topic.lanes},
        "owner": topic.owner,
        "producers": topic.producers,
        "consumers": topic.consumers,
    }
