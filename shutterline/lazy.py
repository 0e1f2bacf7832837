"""A group of commands whose modules are imported only when one of them is run.

`shutterline --help` needs only the table, so it takes 0.2 s; importing the clients of Kafka and
Cassandra takes seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command as the help shows it, and where its function is.

    `target` is `module:attribute`: a function with typer's annotations, or a `typer.Typer` with
    commands of its own.
    """

    panel: str
    target: str
    help: str
    example: str = ""

    def placeholder(self, name: str) -> TyperCommand:
        """Return what the group's help shows of the command, without importing it."""
        return TyperCommand(name, help=self.help, rich_help_panel=self.panel)

    def load(self, name: str) -> Any:
        """Import the command, with its arguments and options."""
        module, attribute = self.target.split(":")
        loaded = getattr(import_module(module), attribute)
        if isinstance(loaded, typer.Typer):
            return typer.main.get_command(loaded)
        single = typer.Typer(add_completion=False)
        epilog = f"Example: {self.example}" if self.example else None
        single.command(name, help=self.help, epilog=epilog)(loaded)
        return typer.main.get_command(single)


def lazy_group(commands: Mapping[str, LazyCommand]) -> type[TyperGroup]:
    """A group class for typer; its commands come in the order of the table."""

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            for name, command in commands.items():
                self.add_command(command.placeholder(name))

        def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
            name, command, rest = super().resolve_command(ctx, args)
            return name, commands[name].load(name) if name else command, rest

    return LazyGroup
