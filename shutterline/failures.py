"""What a command says when it fails: one plain sentence with what to do next, and never a traceback.

Bugs are the exception: whatever is not known here keeps its traceback.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer
from rich.console import Console

if TYPE_CHECKING:  # Reading settings costs more time than showing a command's help.
    from streams.settings import Settings

CONNECT_S = 3.0
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it.


class CommandFailed(Exception):
    """Shown to the user as it is, without a traceback."""


@contextmanager
def plain_failures(*told: type[Exception]) -> Iterator[None]:
    """Turn failures into a sentence in red and exit code 1, a Ctrl-C into exit code 130.

    The messages of the types `told` are for users as they are.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:  # Here is decided what a user can do about it.
        sentence = str(error) if isinstance(error, told) else sentence_for(error)
        if sentence is None:
            raise
        Console(stderr=True).print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def sentence_for(error: Exception) -> str | None:
    """What to tell the user, or None when it is a bug of ours."""
    # Only now: the clients' packages take longer to import than most commands to run.
    from confluent_kafka import KafkaException
    from pydantic import ValidationError

    from streams.errors import StoreUnavailable

    if isinstance(error, CommandFailed):
        return str(error)
    if isinstance(error, StoreUnavailable):
        return f"{error}. Look at `shutterline status`, or try again."
    if isinstance(error, KafkaException):
        return f"Kafka did not do what was asked: {error}. Look at `shutterline status`, or try again."
    if isinstance(error, ValidationError):
        rules = [_broken_rule(each["loc"], each["input"], each["msg"]) for each in error.errors()]
        return f"Not valid: {'; '.join(rules)}. Correct it and try again."
    return None


def _broken_rule(place: Sequence[object], value: object, message: str) -> str:
    name, rule = "_".join(map(str, place)).upper(), message.removeprefix("Value error, ")
    return f"SHUTTERLINE_{name} is {value!r}: {rule}" if name else rule


def load_settings() -> "Settings":
    """The settings of this run of a command; see `streams.settings.load`."""
    from streams.settings import load

    return load()


async def require(settings: "Settings", *servers: str) -> None:
    """Find out within seconds whether each of these is there: kafka, cassandra, redis, api.

    The clients themselves would go on trying, because a worker must.

    Raises:
        CommandFailed: One does not answer; names its address and what to do.
    """
    silent = [
        f"{name} at {address}" for name in servers if not await _answers(address := getattr(settings, name))
    ]
    if silent:
        raise CommandFailed(
            f"No answer from {' and '.join(silent)}. Start the local stack with `make up`, "
            "or say where it is with SHUTTERLINE_KAFKA, _CASSANDRA, _REDIS and _API."
        )


async def _answers(address: str) -> bool:
    """Whether one of the hosts accepts a connection."""
    for each in address.split(","):
        parts = urlsplit(each if "://" in each else f"//{each}")
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except (OSError, TimeoutError):
            continue
        writer.close()
        return True
    return False
