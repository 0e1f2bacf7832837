"""The command line: one subcommand per job. Each imports its side of the system only when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from shutterline.commands import publish as cli_publish
from shutterline.failures import CommandFailed, load_settings, plain_failures

# At module level because its decorators are how typer learns the commands; it holds no state.
app = typer.Typer(
    name="shutterline",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Shutterline: events in through Kafka, feeds out over HTTP.",
)
STACK, RUN, TRY, LOOK = "The local stack", "Running it", "Trying it", "Looking into it"


def _id(text: str) -> int:
    from schemas.ids import parse_id

    try:
        return parse_id(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


User = Annotated[int, typer.Argument(parser=_id, metavar="USER", help="The user's id.")]


@app.command(rich_help_panel=STACK, epilog="Example: shutterline up")
def up(
    servers: Annotated[bool, typer.Option("--servers", help="Start the servers alone.")] = False,
) -> None:
    """Start what is missing of the local stack; return when all of it is ready."""
    from infra.local import commands
    from infra.local.errors import StackError
    from infra.local.paths import project_home

    with plain_failures(StackError):
        commands.up(project_home(), Console(), servers_only=servers)


@app.command(rich_help_panel=STACK, epilog="Example: shutterline down")
def down() -> None:
    """End the local stack; its data stays."""
    from infra.local import commands
    from infra.local.errors import StackError
    from infra.local.paths import project_home

    with plain_failures(StackError):
        commands.down(project_home(), Console())


@app.command(rich_help_panel=STACK, epilog="Example: shutterline status")
def status() -> None:
    """Show the processes of the local stack."""
    from infra.local import commands
    from infra.local.errors import StackError
    from infra.local.paths import project_home

    with plain_failures(StackError):
        commands.status(project_home(), Console())


@app.command(rich_help_panel=STACK, epilog="Example: shutterline clean")
def clean() -> None:
    """End the local stack and forget its data, addresses and secrets."""
    from infra.local import commands
    from infra.local.errors import StackError
    from infra.local.paths import project_home

    with plain_failures(StackError):
        commands.clean(project_home(), Console())


@app.command(name="rotate-media-key", rich_help_panel=STACK, epilog="Example: shutterline rotate-media-key")
def rotate_media_key() -> None:
    """Make the key that signs photo URLs anew; URLs of the key before stay valid, older ones do not."""
    from infra.local import commands
    from infra.local.errors import StackError
    from infra.local.paths import project_home

    with plain_failures(StackError):
        commands.rotate_media_key(project_home(), Console())


@app.command(rich_help_panel=RUN, epilog="Example: shutterline topics")
def topics() -> None:
    """Create the topics that are missing; verify those that are there."""
    from shutterline import run as cli

    with plain_failures():
        cli.topics(Console())


@app.command(rich_help_panel=RUN, epilog="Example: shutterline migrate")
def migrate() -> None:
    """Bring Cassandra's tables up to date."""
    from shutterline import run as cli

    with plain_failures():
        cli.migrate(Console())


@app.command(rich_help_panel=RUN, epilog="Example: shutterline worker --roles check,edges")
def worker(
    roles: Annotated[
        str | None, typer.Option(help="Which consumer groups this worker joins; by default all but media's.")
    ] = None,
    media: Annotated[bool, typer.Option("--media", help="Make renditions: join thumbnail and full.")] = False,
) -> None:
    """Run a worker: events in, timelines and edges out; or, with --media, originals in, renditions out."""
    from shutterline import run as cli

    with plain_failures():
        cli.worker(roles, media=media)


@app.command(rich_help_panel=RUN, epilog="Example: shutterline api")
def api() -> None:
    """Serve the HTTP API at the address that SHUTTERLINE_API names."""
    from api.serve import run
    from shutterline.run import log_to_stderr

    with plain_failures(ValueError):  # An address, a secret or a key that is not what it must be.
        settings = load_settings()
        log_to_stderr()
        run(settings)


@app.command(rich_help_panel=RUN, epilog="Example: shutterline warm")
def warm() -> None:
    """Fetch the most viewed photos again into every edge; to be run more often than their copies expire."""
    from shutterline.commands import warm as cli_warm

    with plain_failures():
        cli_warm.warm(Console())


@app.command(rich_help_panel=RUN, epilog="Example: shutterline resume check")
def resume(group: Annotated[str, typer.Argument(help="The consumer group.")]) -> None:
    """Let a consumer group that stopped at its dead-letter limit go on."""
    from shutterline import run as cli

    with plain_failures():
        cli.resume(group, Console())


@app.command(rich_help_panel=RUN, epilog="Example: shutterline rebuild 7 8, or shutterline rebuild --all")
def rebuild(
    users: Annotated[
        list[int] | None, typer.Argument(parser=_id, metavar="[USER]...", help="Whose timelines.")
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--all", help="Forget every timeline; each is rebuilt by its owner's next read.")
    ] = False,
) -> None:
    """Rebuild timelines from Cassandra: those of some users now, or all as they are read."""
    from schemas.ids import UserId
    from shutterline.commands import rebuild as cli_rebuild

    with plain_failures():
        if everybody == bool(users):
            raise CommandFailed("Give either the ids of users or --all.")
        if everybody:
            cli_rebuild.forget_all(Console())
        else:
            cli_rebuild.rebuild_users([UserId(user) for user in users or []], Console())


@app.command("clean-media", rich_help_panel=RUN, epilog="Example: shutterline clean-media")
def clean_media() -> None:
    """Bring media bucket and database together: end abandoned uploads, remove orphans, mend what is lost."""
    from shutterline.commands import clean as cli_clean
    from streams.stores.s3.bucket import S3Refused

    with plain_failures(S3Refused):
        cli_clean.clean_media(Console())


@app.command(rich_help_panel=TRY, epilog="Example: shutterline demo --seed 2")
def demo(
    users: Annotated[int, typer.Option(min=100, max=100_000, help="How many make the network.")] = 3_000,
    seconds: Annotated[int, typer.Option(min=1, max=3_600, help="How long the play lasts.")] = 45,
    seed: Annotated[int, typer.Option(help="The same seed is the same network and play.")] = 1,
) -> None:
    """Show the whole pipeline at work on the local stack, and check the result."""
    from infra.local.errors import StackError
    from infra.local.paths import project_home
    from shutterline.demo.run import Plan, run

    with plain_failures(StackError):
        run(project_home(), Plan(users=users, seconds=seconds, seed=seed), Console())


@app.command(rich_help_panel=TRY, epilog="Example: shutterline load edges.tsv.gz")
def load(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, help="Follower, tab, followee; a .gz is unpacked."
        ),
    ],
) -> None:
    """Publish follow edges from a file to Kafka. Repeating it is harmless."""
    from shutterline.commands import load as cli_load

    with plain_failures():
        cli_load.load(file, Console())


app.add_typer(cli_publish.app, name="publish", rich_help_panel=TRY)


@app.command(rich_help_panel=TRY, epilog="Example: shutterline upload 7 beach.jpg dunes.png")
def upload(
    user: User,
    files: Annotated[
        list[Path], typer.Argument(exists=True, dir_okay=False, readable=True, help="JPEG, PNG or WebP.")
    ],
    caption: Annotated[str, typer.Option(help="The same for all of them.")] = "",
) -> None:
    """Upload photos through the HTTP API. After a Ctrl-C the same command goes on where it was."""
    from schemas.ids import UserId
    from shutterline.commands import upload as cli_upload
    from shutterline.tokens import tokens_for

    with plain_failures():
        cli_upload.upload(UserId(user), files, caption, tokens_for=tokens_for, console=Console())


@app.command(
    rich_help_panel=TRY, epilog='Example: curl -H "Authorization: Bearer $(shutterline token 7)" …/v1/feed'
)
def token(
    user: User,
    role: Annotated[str | None, typer.Option(help="A role that the token has, such as ops.")] = None,
    life: Annotated[int, typer.Option(metavar="SECONDS", help="How long it is valid.")] = 3_600,
) -> None:
    """Print a token that speaks for a user, for local runs; nothing else is printed."""
    from schemas.ids import UserId
    from shutterline.tokens import mint_token

    with plain_failures():
        print(mint_token(load_settings(), UserId(user), roles=[role] if role else [], life_s=life))


@app.command(rich_help_panel=LOOK, epilog="Example: shutterline feed 7 --html feed.html")
def feed(
    user: User,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many photos.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="All pages.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as it is.")] = False,
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write a contact sheet to this file instead.")
    ] = None,
) -> None:
    """Read a user's feed through the HTTP API."""
    from schemas.ids import UserId
    from shutterline.commands import feed as cli_feed
    from shutterline.tokens import tokens_for

    with plain_failures():
        cli_feed.feed(
            UserId(user),
            limit=limit,
            all_pages=everything,
            as_json=as_json,
            html=html,
            tokens_for=tokens_for,
            console=Console(),
        )


@app.command(rich_help_panel=LOOK, epilog="Example: shutterline inspect author 7")
def inspect(
    subject: Annotated[Literal["user", "author", "photo"], typer.Argument()],
    number: Annotated[int, typer.Argument(parser=_id, metavar="ID")],
) -> None:
    """Show what is stored of a user (as a reader), an author or a photo, and where."""
    from shutterline.commands import inspect as cli_inspect

    with plain_failures():
        cli_inspect.inspect(cli_inspect.Subject(subject), number, Console())


@app.command(rich_help_panel=LOOK, epilog="Example: shutterline check --users 200")
def check(
    users: Annotated[int, typer.Option(min=1, max=100_000, help="How many to sample.")] = 50,
    seed: Annotated[int, typer.Option(help="The same seed samples the same users.")] = 1,
    depth: Annotated[int, typer.Option(min=1, max=100_000, help="How many photos of each feed.")] = 600,
) -> None:
    """Compare feeds, counts and edges of sampled users with a recomputation from Cassandra."""
    from shutterline.commands import check as cli_check
    from shutterline.tokens import tokens_for

    with plain_failures():
        cli_check.check(users=users, seed=seed, depth=depth, tokens_for=tokens_for, console=Console())


def main() -> None:
    """The installed command `shutterline`."""
    app()
