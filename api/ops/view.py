"""What a visitor of the page /ops chose: it is all in the address, so a page can be sent to somebody."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from api.http.problems import invalid
from schemas.quoting import quoted

Json = dict[str, Any]

FILTER_CHARACTERS_MAX = 100
LIVE = "live"
# Seconds until the next look, by what the address says. Without a script, only the numbers have an effect.
REFRESHES: Mapping[str, int] = {LIVE: 0, "0": 0, "5": 5, "10": 10, "30": 30}


@dataclass(frozen=True, slots=True)
class OpsView:
    """Only lanes whose names or states contain `text`; `refresh` is one of `REFRESHES`."""

    text: str = ""
    refresh: str = LIVE

    @classmethod
    def of(cls, text: str, refresh: str) -> "OpsView":
        """Return the view that an address asks for.

        Raises:
            Problem: 422, with the value and the rule.
        """
        if len(text) > FILTER_CHARACTERS_MAX:
            raise invalid(
                ValueError(
                    f"filter has {len(text)} characters, but must have at most {FILTER_CHARACTERS_MAX}"
                )
            )
        if refresh not in REFRESHES:
            raise invalid(
                ValueError(f"refresh is {quoted(refresh)}, but must be one of {', '.join(REFRESHES)}")
            )
        return cls(text, refresh)

    @property
    def refresh_s(self) -> int:
        """The seconds between two looks, 0 for the default of the process."""
        return REFRESHES[self.refresh]

    @property
    def is_live(self) -> bool:
        """Whether a script replaces the panels as they change."""
        return self.refresh != "0"

    def includes(self, *words: str | None) -> bool:
        """Whether a row with these names and states is shown."""
        return self.text.lower() in " ".join(word for word in words if word).lower()

    def query(self) -> str:
        """Return the query of an address of this view, with its question mark; empty for the default."""
        chosen = {
            name: value
            for name, value, default in (("filter", self.text, ""), ("refresh", self.refresh, LIVE))
            if value != default
        }
        return f"?{urlencode(chosen)}" if chosen else ""
