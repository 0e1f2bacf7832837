"""How dead letters are shown. What is in them comes from other people, so the terminal makes it printable."""

from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from schemas.printable import printable, value_text
from schemas.quoting import quoted
from schemas.times import rfc3339, utc_datetime, utc_datetime_of_ms
from shutterline.commands.dead_letters.options import key_text
from shutterline.terminal import styled, write_json
from streams.core.dead_letters import DeadLetter
from streams.jobs.dead_letters.listing import Entry, Group, Listing
from streams.jobs.dead_letters.run import Counts
from streams.ports.coordination import Outcome

NONE = "-"


def bar(console: Console, what: str) -> Progress:
    """A bar over the offsets that are passed; `what` says what they are."""
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(what),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def show_listing(listing: Listing, console: Console) -> None:
    """Print how many there are by topic and reason, then the newest."""
    if not listing.groups:
        console.print("There are no such dead letters.")
        return
    table = Table(box=None, header_style="bold")
    for name in ("topic", "reason"):
        table.add_column(name, no_wrap=True)
    for name in ("waiting", "replayed", "discarded"):
        table.add_column(name, justify="right")
    for name in ("oldest", "newest", "for example"):
        table.add_column(name, overflow="fold")
    for (topic, reason), group in sorted(listing.groups.items()):
        numbers = (f"{number:,}" for number in (group.waiting, group.replayed, group.discarded))
        times = (_time(group.oldest_us) or NONE, _time(group.newest_us) or NONE)
        table.add_row(topic, printable(reason), *numbers, *times, printable(group.example))
    console.print(table)
    for entry in listing.newest():
        key = "no key" if entry.key is None else f"key {printable(key_text(entry.key))}"
        where = f"{entry.topic} {entry.partition} {entry.offset}"
        what = f"{printable(entry.reason)}, attempt {entry.attempt}, {key}"
        console.print(
            styled(f"{_time(entry.failed_at_us)}  ", (where, "bold"), f"  {what}: {printable(entry.error)}"),
            soft_wrap=True,
        )


def write_listing(listing: Listing) -> None:
    """Write the same as JSON."""
    groups = [
        {"topic": topic, "reason": reason, **_group(group)}
        for (topic, reason), group in sorted(listing.groups.items())
    ]
    write_json({"groups": groups, "newest": [_entry(entry) for entry in listing.newest()]})


def _group(group: Group) -> Mapping[str, object]:
    return {
        "waiting": group.waiting,
        "replayed": group.replayed,
        "discarded": group.discarded,
        "oldest": _time(group.oldest_us),
        "newest": _time(group.newest_us),
        "example": group.example,
    }


def _entry(entry: Entry) -> Mapping[str, object]:
    return {
        "topic": entry.topic,
        "partition": entry.partition,
        "offset": entry.offset,
        "failed_at": _time(entry.failed_at_us),
        "reason": entry.reason,
        "error": entry.error,
        "attempt": entry.attempt,
        "key": None if entry.key is None else key_text(entry.key),
    }


def show_letter(letter: DeadLetter, outcome: Outcome | None, console: Console) -> None:
    """Print what became of one dead letter, its error, its key, its headers and its value."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("state", outcome.value if outcome else "waiting")
    facts.add_row("reason", printable(letter.reason))
    facts.add_row("error", printable(letter.error))
    facts.add_row("written", rfc3339(utc_datetime_of_ms(letter.timestamp_ms)))
    facts.add_row("key", "null" if letter.key is None else quoted(letter.key))
    console.print(facts)
    headers = Table(box=None, show_header=False, pad_edge=False)
    headers.add_column(style="dim", no_wrap=True)
    headers.add_column(overflow="fold")
    for name, content in letter.headers:
        headers.add_row(f"  {printable(name)}", "null" if content is None else printable(key_text(content)))
    console.print(styled(("headers", "bold")))
    console.print(headers)
    console.print(styled(("value", "bold")))
    console.print(value_text(letter.value), soft_wrap=True)


def show_counts(counts: Counts, done: str, console: Console) -> None:
    """Print how many were handled by topic and reason, and why others were not; `done` says what was done."""
    for (topic, reason), count in sorted(counts.done.items()):
        console.print(f"{count:,} of {topic} with {printable(reason)} {done}", soft_wrap=True)
    if not counts.done:
        console.print(f"0 {done}")
    for obstacle, count in sorted(counts.left.items()):
        console.print(f"{count:,} left: {obstacle}", soft_wrap=True)
    if counts.handled_before:
        console.print(f"{counts.handled_before:,} were replayed or discarded before")


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else rfc3339(utc_datetime(time_us))
