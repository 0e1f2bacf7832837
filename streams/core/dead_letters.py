"""Dead letters as an operator handles them: which ones are selected, and which can be replayed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from schemas.dead_letter_headers import Failure, Headers, replay_headers
from topics.catalogue import MESSAGE_BYTES_MAX, Topic

# What Kafka's format adds to a batch of one record, and to each header, at most.
BATCH_FRAME_BYTES_MAX = 100
HEADER_FRAME_BYTES_MAX = 10
FOREIGN_REASON = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record of a dead-letter topic. `topic` is the one that its record came from.

    `failure` is None if the record has not the headers of a dead letter: somebody else wrote it.
    """

    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    failure: Failure | None

    @property
    def reason(self) -> str:
        """The reason of the failure, or `FOREIGN_REASON`."""
        return self.failure.reason if self.failure else FOREIGN_REASON

    @property
    def error(self) -> str:
        """The sentence that names the value and the rule."""
        return self.failure.error if self.failure else "It has not the headers of a dead letter."

    @property
    def failed_at_us(self) -> int:
        """When the record failed, in microseconds since 1970; of a foreign one, Kafka's time."""
        return self.failure.failed_at_us if self.failure else self.timestamp_ms * 1_000


class Obstacle(StrEnum):
    """Why a dead letter cannot be replayed."""

    ATTEMPTS = "all attempts used"
    LEFT_OUT = "parts of the record left out"
    TOO_LARGE = "too large for its topic"
    FOREIGN = "not written by this system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters are meant: those that fit everything that is given here.

    Without `reasons`, those of every reason. `since_us` is inclusive, `until_us` is not; both are about the
    time of the failure, in microseconds since 1970. `ends` has by topic and partition of the records the
    offset before which a letter must be; none of other partitions is meant. Times come from the clock of who
    wrote the letter, so only offsets say which letters were there at a moment.
    """

    reasons: frozenset[str] = frozenset()
    since_us: int | None = None
    until_us: int | None = None
    key: bytes | None = None
    ends: Mapping[tuple[str, int], int] | None = None

    def includes(self, letter: DeadLetter) -> bool:
        """Whether the dead letter is meant. One without a failure has no reason and no time."""
        if self.key is not None and letter.key != self.key:
            return False
        if self.ends is not None and letter.offset >= self.ends.get((letter.topic.name, letter.partition), 0):
            return False
        failure = letter.failure
        if failure is None:
            return not self.reasons and self.since_us is None and self.until_us is None
        return (
            (not self.reasons or failure.reason in self.reasons)
            and (self.since_us is None or failure.failed_at_us >= self.since_us)
            and (self.until_us is None or failure.failed_at_us < self.until_us)
        )


def obstacle(letter: DeadLetter, *, attempts_max: int) -> Obstacle | None:
    """Return why the letter cannot be replayed, None if it can.

    `attempts_max` is how often a record is handled at most: first, and then by replays. It ends the loop of
    a record that fails whenever it is replayed.
    """
    failure = letter.failure
    if failure is None:
        return Obstacle.FOREIGN
    if failure.left_out:
        return Obstacle.LEFT_OUT
    if failure.attempt >= attempts_max:
        return Obstacle.ATTEMPTS
    if record_bytes_max(letter.key, letter.value, replay_headers(letter.headers)) > MESSAGE_BYTES_MAX:
        # Its topic took it because its publisher compressed it better than we do.
        return Obstacle.TOO_LARGE
    return None


def record_bytes_max(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Return the size of a batch that has only this record and is not compressed, or a little more."""
    header_bytes = sum(
        len(name.encode()) + len(content or b"") + HEADER_FRAME_BYTES_MAX for name, content in headers
    )
    return len(key or b"") + len(value or b"") + header_bytes + BATCH_FRAME_BYTES_MAX
