"""What became of the canary's posts in the last hour: the freshness that users feel, and its error budget."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streams.monitor.canary import Outcome

Json = dict[str, Any]
WINDOW_MS = 3_600_000
# Of a canary that posts every second.
POSTS_MAX = 3_600
# This share of posts may be late or fail: the objective is 99.9 %.
BUDGET = 0.001


@dataclass(slots=True)
class FreshnessLog:
    """The posts of the last hour, at most the newest `POSTS_MAX`."""

    clock_ms: Callable[[], int]
    _posts: deque[tuple[int, Outcome]] = field(default_factory=lambda: deque(maxlen=POSTS_MAX), init=False)

    def add(self, outcome: Outcome) -> None:
        """Note what became of a post just now."""
        self._posts.append((self.clock_ms(), outcome))

    def json(self) -> Json | None:
        """Return the numbers; None without a post, as when the canary is off.

        `burn_rate` is how many times the share of late and failed posts is what the objective allows.
        """
        since_ms = self.clock_ms() - WINDOW_MS
        while self._posts and self._posts[0][0] < since_ms:
            self._posts.popleft()
        if not self._posts:
            return None
        counts = Counter(outcome for _, outcome in self._posts)
        posts = len(self._posts)
        in_time = counts[Outcome.SEEN] / posts
        return {
            "posts": posts,
            **{outcome.value: counts[outcome] for outcome in Outcome},
            "in_time": in_time,
            "burn_rate": round((1 - in_time) / BUDGET, 3),
        }
