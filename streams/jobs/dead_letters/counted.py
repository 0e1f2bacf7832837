"""What an operator has counted and may confirm. The form that confirms it carries it, so any process can.

It needs no signature: who may confirm it may count, too, and the command asks for no count at all.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

from schemas.envelope import Reason
from streams.core.dead_letters import Selection
from streams.jobs.dead_letters.choice import Choice
from streams.jobs.dead_letters.run import Action
from topics.catalogue import topics_with_dead_letters

# A count that is older says nothing of now.
COUNTED_S_MAX = 600


class CountUnderWay(Exception):
    """This process counts already."""


class CountNotKnown(Exception):
    """The count is too old, or not valid."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted at `at_ms`: `choice` has the ends of the topics at that time."""

    action: Action
    choice: Choice
    at_ms: int


class _Form(BaseModel):
    action: Action
    topics: list[str]
    reasons: list[Reason]
    # By topic and partition.
    ends: dict[str, dict[int, int]]
    at_ms: int


@dataclass(slots=True)
class OneCount:
    """Lets a process count one run at a time, because each count reads all letters that wait."""

    _is_counting: bool = field(default=False, init=False)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count in the block.

        Raises:
            CountUnderWay: Another count has not ended.
        """
        if self._is_counting:
            raise CountUnderWay
        self._is_counting = True
        try:
            yield
        finally:
            self._is_counting = False


def encode_counted(counted: Counted) -> str:
    """Return it as the value of a form's field; of its choice, what a form can choose."""
    selection = counted.choice.selection
    ends: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for (topic, partition), end in (selection.ends or {}).items():
        ends[topic][partition] = end
    form = _Form(
        action=counted.action,
        topics=[topic.name for topic in counted.choice.topics],
        reasons=sorted(map(Reason, selection.reasons)),
        ends=ends,
        at_ms=counted.at_ms,
    )
    return urlsafe_b64encode(form.model_dump_json().encode()).decode()


def decode_counted(text: str, now_ms: int) -> Counted:
    """Return what was counted.

    Raises:
        CountNotKnown: It is older than `COUNTED_S_MAX`, or from as late in the future, or not valid.
    """
    topics = {topic.name: topic for topic in topics_with_dead_letters()}
    try:
        form = _Form.model_validate_json(urlsafe_b64decode(text))
        chosen = [topics[name] for name in form.topics]
    except (ValidationError, ValueError, KeyError):
        raise CountNotKnown from None
    if abs(now_ms - form.at_ms) >= COUNTED_S_MAX * 1_000:
        raise CountNotKnown
    ends = {
        (topic, partition): end
        for topic in form.topics
        for partition, end in form.ends.get(topic, {}).items()
    }
    return Counted(
        form.action, Choice(chosen, Selection(reasons=frozenset(form.reasons), ends=ends)), form.at_ms
    )
