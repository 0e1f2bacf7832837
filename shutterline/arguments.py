"""Arguments that several commands take."""

from typing import Annotated

import typer

from schemas.ids import parse_id


def parsed_id(text: str) -> int:
    """An id from the command line.

    Raises:
        typer.BadParameter: The text is not an id; the message names the rule.
    """
    try:
        return parse_id(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


User = Annotated[int, typer.Argument(parser=parsed_id, metavar="USER", help="The user's id.")]
