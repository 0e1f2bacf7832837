"""The alarm about sources that are set aside: a log line when it begins and ends, and a gauge."""

import logging
from dataclasses import dataclass, field

from schemas.printable import printable
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.metrics import SOURCES_SET_ASIDE

# A publisher chooses its source, so the values of the label are limited. The others share one.
LABELS_MAX = 32
OTHER = "other"
log = logging.getLogger(__name__)


@dataclass(slots=True)
class SourcesSetAside:
    """Which sources are set aside in which partitions of one topic; `topic` is its name in the catalogue."""

    group: str
    topic: str
    progress: Progress
    labels_max: int = LABELS_MAX
    _sources: dict[GroupPartition, set[str]] = field(default_factory=dict, init=False)
    _labels: set[str] = field(default_factory=set, init=False)

    def begin(self, partition: GroupPartition, source: str, reason: str) -> None:
        """Sound the alarm: from now on the source's bad records do not stop the partition."""
        self._sources.setdefault(partition, set()).add(source)
        self._show()
        log.error(
            "%s set aside the source %s in %s/%d: %s. Its bad records go on to %s-dlq and stop nobody; "
            "the other sources go on. Tell its publisher",
            partition.group,
            printable(source),
            partition.topic,
            partition.partition,
            reason,
            partition.topic,
            extra={**partition.log_fields(), "source": source, "reason": reason},
        )

    def end(self, partition: GroupPartition, source: str) -> None:
        """The source is well again."""
        self._sources[partition].discard(source)
        self._show()
        log.warning(
            "%s took the source %s back in %s/%d: its records are handled again",
            partition.group,
            printable(source),
            partition.topic,
            partition.partition,
            extra={**partition.log_fields(), "source": source},
        )

    def forget(self, partition: GroupPartition) -> None:
        """The partition was resumed after a stop, so every source counts again."""
        if self._sources.pop(partition, None):
            self._show()

    def _show(self) -> None:
        """Make the values of the label those sources that are set aside now."""
        sources = {source for sources in self._sources.values() for source in sources}
        for label in self._labels - sources - {OTHER}:
            SOURCES_SET_ASIDE.remove(self.group, self.topic, printable(label))
            self._labels.discard(label)
        for source in sorted(sources - self._labels):
            label = source if len(self._labels) < self.labels_max else OTHER
            if label in self._labels:
                continue
            self._labels.add(label)
            gauge = SOURCES_SET_ASIDE.labels(self.group, self.topic, printable(label))
            # Counted when it is asked for, because a partition goes to another worker silently.
            gauge.set_function(lambda label=label: self._partitions(label))  # type: ignore[misc]

    def _partitions(self, label: str) -> int:
        """In how many partitions that this process owns a source with this label is set aside."""
        return sum(
            self.progress.is_owned(partition) and any(self._label(source) == label for source in sources)
            for partition, sources in self._sources.items()
        )

    def _label(self, source: str) -> str:
        return source if source in self._labels else OTHER
