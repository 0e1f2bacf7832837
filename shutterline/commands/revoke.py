"""`shutterline revoke`: keys, users and tokens that the API refuses from now on."""

import asyncio
from getpass import getuser
from time import time_ns
from typing import Annotated

import typer

from schemas.quoting import quoted
from schemas.times import parse_rfc3339_us
from shutterline.arguments import User
from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.terminal import terminal
from streams.ports.revocations import Revocation, RevocationKind, Revocations
from streams.settings import StoreSettings, TokenSettings
from streams.stores.connect import connect

SUBJECT_CHARS_MAX = 512
# The API polls the revocations, and reads all of them when its poll missed a change.
EFFECT_S_MAX = 30
COMMAND_TIMEOUT_MS = 10_000

# At module level because its decorators are how typer learns the commands; it holds no state.
app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Refuse a key, a user's tokens or one token."
)


def plain_text(text: str) -> str:
    """Text that a log and a terminal can show as it is.

    Raises:
        typer.BadParameter: It is too long or has control characters.
    """
    if len(text) > SUBJECT_CHARS_MAX or not text.isprintable():
        raise typer.BadParameter(
            f"{quoted(text)} must have at most {SUBJECT_CHARS_MAX} characters, all of them printable"
        )
    return text


def subject_text(text: str) -> str:
    """As `plain_text`, but not empty."""
    if not text:
        raise typer.BadParameter("it must not be empty")
    return plain_text(text)


def time_us(text: str) -> int:
    """A time from the command line, in microseconds since 1970.

    Raises:
        typer.BadParameter: The text is not an RFC 3339 time; the message names the rule.
    """
    try:
        return parse_rfc3339_us(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Reason = Annotated[str, typer.Option(parser=plain_text, metavar="TEXT", help="Why; stored and logged.")]
By = Annotated[
    str | None,
    typer.Option(parser=plain_text, metavar="NAME", help="Who revokes; by default the user of this machine."),
]
Before = Annotated[
    int | None,
    typer.Option(parser=time_us, metavar="TIME", help="RFC 3339; by default now. Later tokens stay valid."),
]


@app.command("key", epilog="Example: shutterline revoke key 2026-01 --reason 'the signing key leaked'")
@plain_failures()
def key(
    kid: Annotated[str, typer.Argument(parser=subject_text, help="A key's id, or its RFC 7638 thumbprint.")],
    reason: Reason = "",
    by: By = None,
) -> None:
    """Refuse every token of a signing key, permanently. Put -- before an id that begins with a dash."""
    _revoke(RevocationKind.KEY, kid, None, reason, by)


@app.command("user", epilog="Example: shutterline revoke user 7 --before 2026-01-31T12:00:00Z")
@plain_failures()
def user(user: User, before: Before = None, reason: Reason = "", by: By = None) -> None:
    """Refuse a user's tokens that were issued before a time, and those that do not say when."""
    now_us = time_ns() // 1_000
    if before is not None and before > now_us:
        raise CommandFailed("The time must not be in the future: tokens of the future cannot be revoked.")
    # Rounded up: a token that was issued a microsecond before the time must not stay valid.
    _revoke(RevocationKind.USER, str(user), -(-(now_us if before is None else before) // 1_000), reason, by)


@app.command("token", epilog="Example: shutterline revoke token 5f3c --reason 'the phone was stolen'")
@plain_failures()
def token(
    jti: Annotated[str, typer.Argument(parser=subject_text, help="The token's claim jti.")],
    reason: Reason = "",
    by: By = None,
) -> None:
    """Refuse one token."""
    _revoke(RevocationKind.TOKEN, jti, None, reason, by)


def _revoke(
    kind: RevocationKind, subject: str, issued_before_ms: int | None, reason: str, by: str | None
) -> None:
    revocation = Revocation(
        kind=kind,
        subject=subject,
        issued_before_ms=issued_before_ms,
        revoked_ms=time_ns() // 1_000_000,
        revoked_by=getuser() if by is None else by,
        reason=reason,
    )
    settings = load_settings()
    asyncio.run(_store(settings, settings, revocation))
    terminal().print(f"{kind} {subject} is revoked; every API process refuses it within {EFFECT_S_MAX} s")


async def _store(settings: StoreSettings, tokens: TokenSettings, revocation: Revocation) -> None:
    await require(cassandra=settings.cassandra)
    async with connect(settings, timeout_ms=COMMAND_TIMEOUT_MS) as stores:
        await store_revocation(stores.revocations, tokens, revocation)


async def store_revocation(revocations: Revocations, settings: TokenSettings, revocation: Revocation) -> None:
    """Store the revocation for as long as it can have an effect.

    A token that is valid now expires at most a token's life and a leeway from now, and is accepted for
    another leeway. A key can sign tokens for ever.

    Raises:
        CommandFailed: There are too many revocations.
    """
    if len(await revocations.all()) >= settings.revocations_max:
        raise CommandFailed(
            f"There are {settings.revocations_max} revocations in force, and every API process has all in "
            "memory. Revoke the signing key instead, or raise SHUTTERLINE_REVOCATIONS_MAX."
        )
    life_s = settings.jwt_life_s_max + 2 * settings.jwt_leeway_s
    await revocations.revoke(revocation, life_s=None if revocation.kind is RevocationKind.KEY else life_s)
