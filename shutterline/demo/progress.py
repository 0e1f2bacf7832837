"""What the demo shows while it plays: one moving line on a terminal, elsewhere a line every 15 s."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from infra.local.deployment import Deployment
from shutterline.demo.metrics import Sample, sample
from shutterline.demo.readers import Readers
from streams.errors import StoreUnavailable

LOOK_S = 1.0
PLAIN_LINE_S = 15.0


@contextmanager
def bar(console: Console, text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar that disappears at the end; yields the function that advances it."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(text, total=total)
        yield lambda count: progress.advance(task, count)


@dataclass(slots=True)
class Live:
    """Watches the workers and the readers during the play."""

    deployment: Deployment
    console: Console
    readers: Readers
    total: int
    published: int = field(default=0, init=False)
    peak_per_s: float = field(default=0.0, init=False)
    _progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def advance(self, count: int) -> None:
        self.published += count

    async def run(self) -> None:
        """Look at everything once a second. Runs until cancelled."""
        task = self._progress.add_task("", total=self.total)
        before, looked_s = await self._sample(), monotonic()
        began_s = said_s = looked_s
        with self._progress:
            while True:
                await asyncio.sleep(LOOK_S)
                now, now_s = await self._sample(), monotonic()
                per_s = sum(now.since(before).deliveries.values()) / (now_s - looked_s)
                self.peak_per_s = max(self.peak_per_s, per_s)
                before, looked_s = now, now_s
                line = await self._line(self.published / (now_s - began_s), per_s)
                self._progress.update(task, completed=self.published, description=line)
                if not self.console.is_terminal and now_s - said_s >= PLAIN_LINE_S:
                    said_s = now_s
                    self.console.print(f"  {line}", highlight=False, soft_wrap=True)

    async def _line(self, events_per_s: float, deliveries_per_s: float) -> str:
        try:
            lag = f"{sum((await self.deployment.lag()).values()):,}"
        except StoreUnavailable:
            lag = "unknown"
        read_ms = self.readers.percentile_ms(50)
        return (
            f"{self.published:,} of {self.total:,} events, {events_per_s:,.0f}/s; lag {lag}; "
            f"{deliveries_per_s:,.0f} deliveries/s; feed read p50 {read_ms or 0:.0f} ms"
        )

    async def _sample(self) -> Sample:
        return await asyncio.to_thread(sample, self.deployment.stack.home.run)
