"""`shutterline token`: a token for local runs."""

from typing import Annotated

import typer

from schemas.ids import UserId
from shutterline.arguments import User
from shutterline.failures import load_settings, plain_failures
from shutterline.terminal import write_plain
from shutterline.tokens import mint_token


@plain_failures()
def token(
    user: User,
    role: Annotated[str | None, typer.Option(help="A role that the token has, such as ops.")] = None,
    life: Annotated[int, typer.Option(metavar="SECONDS", help="How long it is valid.")] = 3_600,
) -> None:
    write_plain(mint_token(load_settings(), UserId(user), roles=[role] if role else [], life_s=life))
