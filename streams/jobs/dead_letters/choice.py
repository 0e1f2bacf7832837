"""Which dead letters an operator means."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from schemas.times import rfc3339, utc_datetime
from streams.core.dead_letters import Selection
from streams.jobs.dead_letters.ports import DeadLetterLog
from topics.catalogue import Topic


@dataclass(frozen=True, slots=True)
class Choice:
    """The topics, and which of their dead letters; `said` is what was asked for, for audits."""

    topics: Sequence[Topic]
    selection: Selection

    @property
    def said(self) -> dict[str, object]:
        """The choice for the people who read the topic `operations`."""
        selection = self.selection
        return {
            "topics": [topic.name for topic in self.topics],
            "reasons": sorted(selection.reasons),
            "since": _time(selection.since_us),
            "until": _time(selection.until_us),
            "key": None if selection.key is None else selection.key.decode("utf-8", "backslashreplace"),
            "ends": [
                f"{topic}/{partition} {end}"
                for (topic, partition), end in sorted((selection.ends or {}).items())
            ],
        }


async def there_now(choice: Choice, log: DeadLetterLog) -> Choice:
    """Return the choice without the letters that come later.

    Raises:
        StoreUnavailable: Kafka did not respond.
    """
    ends = {
        (topic.name, partition): offsets.stop
        for topic in choice.topics
        for partition, offsets in (await log.offsets(topic)).items()
        if offsets
    }
    return replace(choice, selection=replace(choice.selection, ends=ends))


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else rfc3339(utc_datetime(time_us))
