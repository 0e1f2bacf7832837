"""The catalogue as topics.json, which Terraform reads; a test fails while the file is stale."""

from pathlib import Path

import orjson

from topics.catalogue import CATALOGUE, Topic

TOPICS_JSON = Path(__file__).parent / "topics.json"


def topics_json() -> bytes:
    """What the file must hold: topic name to partitions, settings, lanes and who uses it."""
    document = {name: _entry(topic) for name, topic in CATALOGUE.items()}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _entry(topic: Topic) -> dict[str, object]:
    return {
        "partitions": topic.partitions,
        "config": dict(topic.config),
        "lanes": {each.lane.value: [each.lo, each.hi] for each in topic.lanes},
        "owner": topic.owner,
        "producers": topic.producers,
        "consumers": topic.consumers,
    }
