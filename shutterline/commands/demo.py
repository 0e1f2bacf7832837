"""`shutterline demo`: the whole pipeline at work; `shutterline/demo/` is what it is made of."""

from typing import Annotated

import typer

from infra.local.errors import StackError
from infra.local.paths import project_home
from shutterline.demo.run import Plan, run
from shutterline.failures import plain_failures
from shutterline.terminal import terminal_of_own_text


@plain_failures(StackError)
def demo(
    users: Annotated[int, typer.Option(min=100, max=100_000, help="How many make the network.")] = 3_000,
    seconds: Annotated[int, typer.Option(min=1, max=3_600, help="How long the play lasts.")] = 45,
    seed: Annotated[int, typer.Option(help="The same seed is the same network and play.")] = 1,
) -> None:
    run(project_home(), Plan(users=users, seconds=seconds, seed=seed), terminal_of_own_text())
