"""A rate that is kept evenly: work that takes `n / per_s` seconds of it, one piece after the other. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """Pieces a second. The next work may be done from `free_s` on, in seconds of the caller's clock.

    Who comes late makes up for at most `late_s_max`: in no second are there more pieces than those of the
    rate, of `late_s_max`, and of one work.
    """

    per_s: int
    late_s_max: float
    free_s: float

    def is_free(self, now_s: float) -> bool:
        """Whether more work may be done now."""
        return self.free_s <= now_s

    def spend(self, pieces: int, now_s: float) -> None:
        """Take the time of some work."""
        self.free_s = max(self.free_s, now_s - self.late_s_max) + pieces / self.per_s
