"""`shutterline up`, `down`, `status`, `clean` and `rotate-media-key`: the local stack."""

from enum import StrEnum
from typing import Annotated

import typer

from infra.local import commands
from infra.local.errors import StackError
from infra.local.layout import NODES_ALLOWED
from infra.local.paths import project_home
from shutterline.failures import plain_failures
from shutterline.terminal import terminal_of_own_text

_NODES_HELP = "1, or 3: three brokers, three Cassandra nodes, a Redis Cluster; as many as before without it."


class Extra(StrEnum):
    """What `up` starts only when asked to."""

    MONITORING = "monitoring"


def _allowed(nodes: int | None) -> int | None:
    if nodes not in (None, *NODES_ALLOWED):
        raise typer.BadParameter(f"{nodes} is not one of {', '.join(map(str, NODES_ALLOWED))}")
    return nodes


@plain_failures(StackError)
def up(
    servers: Annotated[bool, typer.Option("--servers", help="Start the servers alone.")] = False,
    nodes: Annotated[int | None, typer.Option(callback=_allowed, help=_NODES_HELP)] = None,
    extra: Annotated[
        Extra | None, typer.Option("--with", help="Start Prometheus and Alertmanager, too.")
    ] = None,
) -> None:
    commands.up(
        project_home(),
        terminal_of_own_text(),
        nodes=nodes,
        servers_only=servers,
        with_monitoring=extra is Extra.MONITORING,
    )


@plain_failures(StackError)
def down() -> None:
    commands.down(project_home(), terminal_of_own_text())


@plain_failures(StackError)
def status() -> None:
    commands.status(project_home(), terminal_of_own_text())


@plain_failures(StackError)
def clean() -> None:
    commands.clean(project_home(), terminal_of_own_text())


@plain_failures(StackError)
def rotate_media_key() -> None:
    commands.rotate_media_key(project_home(), terminal_of_own_text())
