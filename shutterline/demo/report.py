"""What the demo found, in one table, and what to open or type next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from infra.local.commands import WORKER
from infra.local.deployment import Deployment
from infra.local.paths import PROJECT
from schemas.ids import UserId
from shutterline.check.report import CheckReport
from shutterline.demo.metrics import Sample, quantile
from shutterline.demo.uploads import Uploaded


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """The figures of a demo. `measured` is what the workers did since the first event of the play."""

    events: int
    play_s: float
    drain_s: float
    measured: Sample
    deliveries_per_s_peak: float
    reads: int
    reads_failed: int
    read_p50_ms: float | None
    read_p99_ms: float | None
    bytes_an_entry: float | None
    uploaded: Uploaded
    photos: int
    photos_lost: int
    check: CheckReport

    @property
    def difference(self) -> int:
        return self.check.difference + self.photos_lost


def show(report: DemoReport, console: Console) -> None:
    """The table, and the differences if there are any."""
    table = Table("what", "measured", box=None, header_style="bold", title_justify="left")
    for row in _rows(report):
        table.add_row(*row)
    console.print()
    console.print(table, highlight=False)
    for finding in report.check.examples:
        console.print(f"  {finding}", markup=False, highlight=False)


def _rows(report: DemoReport) -> Sequence[tuple[str, str]]:
    deliveries, play_s = report.measured.deliveries, report.play_s
    total = sum(deliveries.values())
    by_lane = ", ".join(f"{lane} {count:,.0f}" for lane, count in sorted(deliveries.items()))
    check = report.check
    colour = "red" if report.difference else "green"
    return [
        ("events", f"{report.events:,} in {play_s:.1f} s, {report.events / play_s:,.0f} a second"),
        ("deliveries", f"{total:,.0f} ({by_lane})"),
        ("deliveries a second", f"{total / play_s:,.0f}, at peak {report.deliveries_per_s_peak:,.0f}"),
        *[
            (f"freshness, {lane} lane", _seconds(buckets))
            for lane, buckets in sorted(report.measured.freshness.items())
        ],
        ("handled after the last event", f"{report.drain_s:.1f} s"),
        ("feed reads", f"{report.reads:,}, {report.reads_failed} without an answer"),
        ("feed read", f"p50 {_ms(report.read_p50_ms)}, p99 {_ms(report.read_p99_ms)}"),
        (
            "timeline memory",
            f"{report.bytes_an_entry:.1f} bytes an entry" if report.bytes_an_entry else "-",
        ),
        (
            "uploads",
            f"{len(report.uploaded.photos)} of {report.uploaded.size_bytes / 1_000_000:.1f} MB in all, "
            f"ready {max(report.uploaded.ready_s, default=0):.1f} s after their last byte at most",
        ),
        ("photos", f"{report.photos:,} posted, {report.photos_lost} lost"),
        (
            "compared",
            f"{check.users} users: {check.photos:,} photos, {check.counts:,} counts, {check.edges:,} follows",
        ),
        ("check", f"[{colour}]difference {report.difference}[/{colour}]"),
    ]


def _seconds(buckets: Mapping[float, float]) -> str:
    return ", ".join(
        f"p{share} {1_000 * value:,.0f} ms" for share in (50, 99) if (value := quantile(share / 100, buckets))
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def show_next(deployment: Deployment, reader: UserId, console: Console) -> None:
    """What to open or type now that everything is up and full."""
    command = PROJECT / ".venv/bin/shutterline"
    typed = ".venv/bin/shutterline" if command.exists() else "shutterline"
    api = deployment.settings.api
    metrics = deployment.stack.process(WORKER).metrics_file.read_text().strip()
    console.print()
    for text, what in (
        (f"{typed} feed {reader}", "a feed, as a table; --html FILE writes it as a page"),
        (f"{typed} upload {reader} photo.jpg", "a picture of your own into the feeds of those who follow"),
        (f'curl -H "Authorization: Bearer $({typed} token {reader})" {api}/v1/feed', "the same over HTTP"),
        (f"{typed} inspect user {reader}", "what is stored of this user, and where"),
        (f"{api}/metrics and http://{metrics}/metrics", "metrics of the API and of the worker"),
        (f"{typed} check --users 200", "compare more users"),
        ("make down", "end it; the data stays"),
    ):
        console.print(f"[bold]{text}[/bold]", highlight=False, soft_wrap=True)
        console.print(f"    {what}", style="dim", highlight=False)
