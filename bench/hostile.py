"""Decode every file below a folder; print the outcomes, and the most memory that a decoder took.

    python -m bench.hostile FOLDER

Good and hostile files all go through the thumbnail decoders and the full decoders, at most two of
each at a time, as in a worker. No file may end this process. If a file ends its decoder, that is
one of the outcomes in the table.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measuring.running import bench_arguments
from bench.renditions import LIMITS
from streams.media.decoders import Cost, Decoders
from streams.media.rejected import Rejected

CHILDREN_MAX = 2
MADE = "made"


async def outcome(make: Callable[[bytes], Awaitable[object]], original: bytes) -> str:
    try:
        await make(original)
    except Rejected as rejected:
        return rejected.reason
    return MADE


async def outcomes(files: Sequence[Path], costs: list[Cost]) -> tuple[list[str], list[str]]:
    """Return the outcome of each file in the thumbnail decoders, and in the full decoders."""
    turn = asyncio.Lock()
    slots = asyncio.Semaphore(2 * CHILDREN_MAX)  # So that no more files than these are in memory.

    async def one(make: Callable[[bytes], Awaitable[object]], file: Path) -> str:
        async with slots:
            return await outcome(make, await asyncio.to_thread(file.read_bytes))

    async with (
        Decoders(
            LIMITS, children_max=CHILDREN_MAX, is_background=False, large_turn=turn, observe=costs.append
        ) as thumbnails,
        Decoders(
            LIMITS, children_max=CHILDREN_MAX, is_background=True, large_turn=turn, observe=costs.append
        ) as fulls,
    ):
        outcomes_of_both = await asyncio.gather(
            *(one(thumbnails.thumbnail, file) for file in files), *(one(fulls.full, file) for file in files)
        )
    return outcomes_of_both[: len(files)], outcomes_of_both[len(files) :]


def report(thumbnails: Sequence[str], fulls: Sequence[str]) -> Table:
    table = Table(title=f"{len(thumbnails)} files")
    table.add_column("outcome")
    for lane in ("thumbnail", "full"):
        table.add_column(lane, justify="right")
    by_thumbnail, by_full = Counter(thumbnails), Counter(fulls)
    for reason in sorted(by_thumbnail | by_full):
        table.add_row(reason, str(by_thumbnail[reason]), str(by_full[reason]))
    return table


def main() -> None:
    """Print the outcomes, the peak memory of one decoder and the time."""
    files = sorted(path for path in bench_arguments(__doc__, "folder").folder.rglob("*") if path.is_file())
    costs: list[Cost] = []
    began = time.perf_counter()
    thumbnails, fulls = asyncio.run(outcomes(files, costs))
    Console().print(report(thumbnails, fulls))
    Console().print(
        f"{len(costs)} decoders in {time.perf_counter() - began:.1f} s; "
        f"the largest took {max((cost.peak_rss_bytes for cost in costs), default=0) / 1e6:.0f} MB "
        f"and the longest {max((cost.cpu_ms for cost in costs), default=0.0):.0f} ms of CPU time"
    )


if __name__ == "__main__":
    main()
