"""What a histogram counted in the last minute, and its quantiles."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram: how many values are at most each of the `bounds`, and the sum of all values.

    The bounds ascend, and the last one is infinite, so the last of `counts` is the number of values.
    """

    bounds: Sequence[float]
    counts: Sequence[float]
    total: float

    def since(self, earlier: "Buckets | None") -> "Buckets":
        """Return what was counted after `earlier`, a reading of the same histogram; all of it after None."""
        if earlier is None:
            return self
        counts = [now - before for now, before in zip(self.counts, earlier.counts, strict=True)]
        return Buckets(self.bounds, counts, self.total - earlier.total)

    @property
    def count(self) -> int:
        """The number of values."""
        return int(self.counts[-1])

    def mean(self) -> float | None:
        """Return the mean of the values; None without one."""
        return self.total / self.counts[-1] if self.counts[-1] else None

    def quantile(self, q: float) -> float | None:
        """Return the value below which the share `q` of the values is; None without values.

        Inside a bucket values count as spread evenly, as in Prometheus's `histogram_quantile`. What is above
        the last finite bound counts as that bound.
        """
        rank = q * self.counts[-1]
        if not self.counts[-1]:
            return None
        edges = pairwise(zip((0.0, *self.bounds), (0.0, *self.counts), strict=True))
        for (low, below), (high, count) in edges:
            if count >= rank and count > below:
                return low if high == float("inf") else low + (high - low) * (rank - below) / (count - below)
        raise AssertionError("the last bucket has all values")


@dataclass(slots=True)
class Window:
    """The readings of a process's histograms by name, so far as the last `window_s` seconds need them."""

    window_s: float
    _readings: deque[tuple[float, Mapping[str, Buckets]]] = field(default_factory=deque, init=False)

    def add(self, at_s: float, reading: Mapping[str, Buckets]) -> Mapping[str, Buckets]:
        """Take a reading; return what was counted in the window, or since the process began."""
        begin_s = at_s - self.window_s
        while len(self._readings) > 1 and self._readings[1][0] <= begin_s:
            self._readings.popleft()
        reaches_back = bool(self._readings) and self._readings[0][0] <= begin_s
        earlier = self._readings[0][1] if reaches_back else {}
        self._readings.append((at_s, reading))
        return {name: buckets.since(earlier.get(name)) for name, buckets in reading.items()}
