"""The command line: one subcommand per job. Each imports its side of the system only when it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

# At module level because its decorators are how typer learns the commands; it holds no state.
app = typer.Typer(name="shutterline", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it.


@app.command()
def up(
    servers: Annotated[bool, typer.Option("--servers", help="Start the servers alone.")] = False,
) -> None:
    """Start what is missing of the local stack; return when all of it is ready."""
    from infra.local import commands
    from infra.local.paths import project_home

    with _plain_failures():
        commands.up(project_home(), Console(), servers_only=servers)


@app.command()
def down() -> None:
    """End the local stack; its data stays."""
    from infra.local import commands
    from infra.local.paths import project_home

    with _plain_failures():
        commands.down(project_home(), Console())


@app.command()
def status() -> None:
    """Show the processes of the local stack."""
    from infra.local import commands
    from infra.local.paths import project_home

    commands.status(project_home(), Console())


@app.command()
def clean() -> None:
    """End the local stack and forget its data, addresses and secrets."""
    from infra.local import commands
    from infra.local.paths import project_home

    with _plain_failures():
        commands.clean(project_home(), Console())


@app.command()
def topics() -> None:
    """Create the topics that are missing; verify those that are there."""
    from streams import cli

    with _plain_failures():
        cli.topics(Console())


@app.command()
def migrate() -> None:
    """Bring Cassandra's tables up to date."""
    from streams import cli

    with _plain_failures():
        cli.migrate(Console())


@app.command()
def worker(
    roles: Annotated[
        str, typer.Option(help="Which consumer groups this worker joins.")
    ] = "check,edges,normal,bulk",
) -> None:
    """Run a worker: events in, timelines and edges out."""
    from streams import cli
    from streams.worker import Role

    try:
        chosen = [Role(role) for role in roles.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{error}; choose among {', '.join(Role)}") from error
    cli.worker(chosen)


@app.command()
def api() -> None:
    """Serve the HTTP API at the address that SHUTTERLINE_API names."""
    from api.serve import run
    from streams.cli import log_to_stderr
    from streams.settings import load

    log_to_stderr()
    run(load())


@app.command()
def resume(group: str) -> None:
    """Let a consumer group that stopped at its dead-letter limit go on."""
    from streams import cli

    with _plain_failures():
        cli.resume(group, Console())


@contextmanager
def _plain_failures() -> Iterator[None]:
    """Show what went wrong with the stack in its own words, without a traceback."""
    from infra.local.errors import StackError
    from streams.cli import CommandFailed

    try:
        yield
    except (StackError, CommandFailed) as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def main() -> None:
    """The installed command `shutterline`."""
    app()


if __name__ == "__main__":
    main()
