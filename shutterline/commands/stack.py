"""`shutterline up`, `down`, `status`, `clean` and `rotate-media-key`: the local stack."""

from typing import Annotated

import typer

from infra.local import commands
from infra.local.errors import StackError
from infra.local.paths import project_home
from shutterline.failures import plain_failures
from shutterline.terminal import terminal_of_own_text


@plain_failures(StackError)
def up(
    servers: Annotated[bool, typer.Option("--servers", help="Start the servers alone.")] = False,
) -> None:
    commands.up(project_home(), terminal_of_own_text(), servers_only=servers)


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
