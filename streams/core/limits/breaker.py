"""Circuit breakers: reject operations on a store for a while, or on one slow key of it.

While a breaker is open, operations fail at once, so a slow store costs one deadline instead of one
for each operation. Every `open_s` seconds, one trial may start.

A store is down if operations on many different keys fail, not if many operations fail. One partition
with too many rows can make each of its own reads too slow, as often as its owner repeats them. So
each key counts once here, and a key that keeps failing has a breaker of its own. Pure: the caller
passes the time.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count

FAILED_SHARE_MIN = 0.5
# The keys whose outcomes are remembered, as a multiple of the failed keys that open the breaker. Few, so
# that a store that stops responding is noticed after few failures, however well it worked before.
RECENT_KEYS_RATIO = 4


@dataclass(slots=True)
class Breaker:
    """The breaker of a store.

    Judges the latest outcome of each of the most recent keys, over at most `window_s`. Opens if
    `failures_max` of these keys failed and they are at least half. An operation without a key counts
    as one on a key of its own.
    """

    failures_max: int
    open_s: float
    window_s: float = 10.0
    _recent: OrderedDict[Hashable, tuple[float, bool]] = field(default_factory=OrderedDict, init=False)
    _own_keys: "count[int]" = field(default_factory=count, init=False)
    _retry_at_s: float = field(default=0.0, init=False)
    _is_open: bool = field(default=False, init=False)

    @property
    def is_open(self) -> bool:
        return self._is_open

    def allows(self, now_s: float) -> bool:
        """Return whether an operation may start: while open, one trial every `open_s` seconds."""
        if not self._is_open:
            return True
        if now_s < self._retry_at_s:
            return False
        self._retry_at_s = now_s + self.open_s
        return True

    def succeeded(self, now_s: float, key: bytes | None = None) -> None:
        if self._is_open:
            self._is_open = False
            self._recent.clear()
        self._note(key, now_s, failed=False)

    def failed(self, now_s: float, key: bytes | None = None) -> None:
        self._note(key, now_s, failed=True)
        outcomes = [failed for at_s, failed in self._recent.values() if now_s - at_s < self.window_s]
        failures = sum(outcomes)
        if failures >= self.failures_max and failures >= FAILED_SHARE_MIN * len(outcomes):
            self._is_open = True
        if self._is_open:
            self._retry_at_s = now_s + self.open_s

    def _note(self, key: bytes | None, now_s: float, *, failed: bool) -> None:
        name: Hashable = next(self._own_keys) if key is None else key
        self._recent[name] = (now_s, failed)
        self._recent.move_to_end(name)
        if len(self._recent) > RECENT_KEYS_RATIO * self.failures_max:
            self._recent.popitem(last=False)


@dataclass(slots=True)
class _FailingKey:
    failures: int
    failed_s: float
    retry_at_s: float


@dataclass(slots=True)
class KeyBreakers:
    """A breaker for each key: open after `failures_max` failures in a row, `window_s` apart at most.

    Only failing keys are remembered, and at most `keys_max` of them: the one that failed longest ago is
    forgotten first.
    """

    failures_max: int
    open_s: float
    keys_max: int
    window_s: float = 10.0
    _failing: OrderedDict[bytes, _FailingKey] = field(default_factory=OrderedDict, init=False)

    def allows(self, key: bytes, now_s: float) -> bool:
        """Return whether an operation on the key may start: while open, one trial every `open_s`."""
        failing = self._failing.get(key)
        if failing is None or failing.failures < self.failures_max:
            return True
        if now_s < failing.retry_at_s:
            return False
        failing.retry_at_s = now_s + self.open_s
        return True

    def succeeded(self, key: bytes) -> None:
        self._failing.pop(key, None)

    def failed(self, key: bytes, now_s: float) -> None:
        failing = self._failing.setdefault(key, _FailingKey(0, now_s, 0.0))
        failing.failures = 1 if now_s - failing.failed_s > self.window_s else failing.failures + 1
        failing.failed_s = now_s
        failing.retry_at_s = now_s + self.open_s
        self._failing.move_to_end(key)
        if len(self._failing) > self.keys_max:
            self._failing.popitem(last=False)
