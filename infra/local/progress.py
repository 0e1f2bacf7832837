"""How long-running work reports what it is doing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.status import Status


class Progress(Protocol):
    def doing(self, text: str) -> None:
        """A step has begun or is still running."""

    def done(self, text: str) -> None:
        """A step has ended."""


class Silent:
    """For tests and benches."""

    def doing(self, text: str) -> None:
        pass

    def done(self, text: str) -> None:
        pass


class Shown:
    """A line for each step that has ended, and below them a spinner for the current one."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status

    def doing(self, text: str) -> None:
        self._status.update(f"{escape(text)} …")

    def done(self, text: str) -> None:
        self._console.print(f"[green]✓[/green] {escape(text)}", highlight=False, soft_wrap=True)


@contextmanager
def shown(console: Console) -> Iterator[Shown]:
    """Show progress on the console; if it is no terminal, only the lines of the steps that have ended."""
    with console.status("") as status:
        yield Shown(console, status)
