"""The pull lists of giants, which a process holds for a moment, because many pages need them at once.

Law: no ghost. A list has ids only. Every page reads the row of each photo that it shows, and whom its reader
follows, so a list that is a moment old shows no deleted photo and no author who was unfollowed.

A held list lacks at most the photos that became ready after its read began, at most `HELD_S` ago. A page
that says `complete` has the photos that became ready more than 5 s ago. A page always reads its reader's own
list, because what they posted is on their next page.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from cachetools import LRUCache

from streams.core.photos import PullList

# A list is held if so many pages need it within a second. With fewer, holding it saves nothing.
HOT_PAGES_A_S = 16
HELD_S = 1.0
# From this age on, one page reads the list again, while the others use the held one.
REFRESHED_S = 0.75
# If that page has not brought the list after this time, another one tries.
REFRESH_S_MAX = 0.1
# 10 kB each.
LISTS_HELD_MAX = 1_024


@dataclass(slots=True)
class _Held:
    """A list whose read began at `read_s`. Until `refreshing_s`, a page is reading it again."""

    photos: PullList
    read_s: float
    refreshing_s: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Taken:
    """Lists that are held, and the authors whose lists many other pages are reading at this moment.

    Those are best read by a call that all share.
    """

    lists: Mapping[int, PullList]
    crowded: Collection[int]


@dataclass(slots=True)
class HotLists:
    """The held lists of one process. `clock_s` is monotonic."""

    clock_s: Callable[[], float]
    hot_pages_a_s: int = HOT_PAGES_A_S
    _held: LRUCache[int, _Held] = field(default_factory=lambda: LRUCache(LISTS_HELD_MAX), init=False)
    # How many pages needed each list in the second that began at `_second_s`, and which lists were hot in the
    # second before. As many lists as a process can serve in a second.
    _pages: Counter[int] = field(default_factory=Counter, init=False)
    _hot: frozenset[int] = field(default=frozenset(), init=False)
    _second_s: float = field(default=float("-inf"), init=False)

    def take(self, authors: Collection[int], *, counted: Collection[int] = ()) -> Taken:
        """Return which lists this page need not read. It reads the others, and passes them to `hold`.

        `counted` are those for which the page has asked before.
        """
        now_s = self.clock_s()
        self._count([author for author in authors if author not in counted], now_s)
        lists: dict[int, PullList] = {}
        crowded: set[int] = set()
        for author in authors:
            held = self._held.get(author)
            if held is None or now_s - held.read_s >= HELD_S:
                if self._pages[author] > self.hot_pages_a_s or author in self._hot:
                    crowded.add(author)
            elif now_s - held.read_s >= REFRESHED_S and now_s >= held.refreshing_s:
                held.refreshing_s = now_s + REFRESH_S_MAX
            else:
                lists[author] = held.photos
        return Taken(lists, crowded)

    def hold(self, lists: Mapping[int, PullList], read_s: float) -> None:
        """Hold those of the lists that are hot; their read began at `read_s`."""
        for author, photos in lists.items():
            if self._pages[author] < self.hot_pages_a_s and author not in self._hot:
                continue
            held = self._held.get(author)
            # Two pages may read a list at the same time; the later read has the newer list.
            if held is None or held.read_s < read_s:
                self._held[author] = _Held(photos, read_s)

    def _count(self, authors: Collection[int], now_s: float) -> None:
        if now_s - self._second_s >= 1:
            is_next = now_s - self._second_s < 2
            hot = (author for author, pages in self._pages.items() if pages >= self.hot_pages_a_s)
            self._hot = frozenset(hot) if is_next else frozenset()
            self._pages.clear()
            self._second_s = now_s
        self._pages.update(authors)
