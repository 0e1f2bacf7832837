"""The command line: the table of all commands. Each command's module is imported only when it runs."""

import typer

from shutterline.lazy import LazyCommand, lazy_group

STACK, RUN, TRY, LOOK = "The local stack", "Running it", "Trying it", "Looking into it"
COMMANDS = {
    "up": LazyCommand(
        STACK,
        "shutterline.commands.stack:up",
        "Start what is missing of the local stack; return when all of it is ready.",
        "shutterline up",
    ),
    "down": LazyCommand(
        STACK, "shutterline.commands.stack:down", "Stop the local stack; its data stays.", "shutterline down"
    ),
    "status": LazyCommand(
        STACK,
        "shutterline.commands.stack:status",
        "Show the processes of the local stack.",
        "shutterline status",
    ),
    "clean": LazyCommand(
        STACK,
        "shutterline.commands.stack:clean",
        "Stop the local stack and delete its data, addresses and secrets.",
        "shutterline clean",
    ),
    "rotate-media-key": LazyCommand(
        STACK,
        "shutterline.commands.stack:rotate_media_key",
        "Make a new key that signs photo URLs. URLs of the previous key stay valid, older ones do not.",
        "shutterline rotate-media-key",
    ),
    "topics": LazyCommand(
        RUN,
        "shutterline.commands.topics:app",
        "Create the topics that are missing; verify those that exist. Or let a topic grow.",
    ),
    "migrate": LazyCommand(
        RUN,
        "shutterline.commands.migrate:migrate",
        "Bring Cassandra's tables up to date.",
        "shutterline migrate",
    ),
    "worker": LazyCommand(
        RUN,
        "shutterline.commands.serve:worker",
        "Run a worker: events in, timelines and edges out; or, with --media, originals in, renditions out.",
        "shutterline worker --roles check,edges",
    ),
    "api": LazyCommand(
        RUN,
        "shutterline.commands.serve:api",
        "Serve the HTTP API at the address that SHUTTERLINE_API names.",
        "shutterline api",
    ),
    "monitor": LazyCommand(
        RUN,
        "shutterline.commands.serve:monitor",
        "Judge the lag of every consumer group, at the address that SHUTTERLINE_MONITOR names.",
        "shutterline monitor",
    ),
    "warm": LazyCommand(
        RUN,
        "shutterline.commands.media.warm:warm",
        "Refresh the most viewed photos in every CDN edge. Run it more often than cached photos expire.",
        "shutterline warm",
    ),
    "resume": LazyCommand(
        RUN,
        "shutterline.commands.resume:resume",
        "Resume a consumer group that stopped at its dead-letter limit.",
        "shutterline resume check",
    ),
    "dead-letters": LazyCommand(
        RUN,
        "shutterline.commands.dead_letters.app:app",
        "List, show, replay or discard records that could not be handled.",
    ),
    "revoke": LazyCommand(
        RUN, "shutterline.commands.revoke:app", "Refuse a signing key, a user's tokens or one token."
    ),
    "rebuild": LazyCommand(
        RUN,
        "shutterline.commands.timelines.rebuild:rebuild",
        "Rebuild timelines from Cassandra: those of some users now, or all as they are read.",
        "shutterline rebuild 7 8, or shutterline rebuild --all",
    ),
    "warm-timelines": LazyCommand(
        RUN,
        "shutterline.commands.timelines.warm:warm",
        "Rebuild missing timelines after a loss of Redis, those of the latest readers first.",
        "shutterline warm-timelines --limit 10000",
    ),
    "clean-media": LazyCommand(
        RUN,
        "shutterline.commands.media.clean:clean_media",
        "Reconcile media bucket and database: end abandoned uploads, delete orphans, repair what is lost.",
        "shutterline clean-media",
    ),
    "audit": LazyCommand(
        RUN,
        "shutterline.commands.audit:audit",
        "Compare what is stored twice: edges, counts, lists, timelines. Or repair it.",
        "shutterline audit --repair",
    ),
    "demo": LazyCommand(
        TRY,
        "shutterline.commands.demo:demo",
        "Show the whole pipeline at work on the local stack, and check the result.",
        "shutterline demo --seed 2",
    ),
    "load": LazyCommand(
        TRY,
        "shutterline.commands.load:load",
        "Publish follow edges from a file to Kafka. Repeating it is harmless.",
        "shutterline load edges.tsv.gz",
    ),
    "upload": LazyCommand(
        TRY,
        "shutterline.commands.media.upload:upload",
        "Upload photos through the HTTP API. After a Ctrl-C the same command continues where it stopped.",
        "shutterline upload 7 beach.jpg dunes.png",
    ),
    "token": LazyCommand(
        TRY,
        "shutterline.commands.token:token",
        "Print a token that speaks for a user, for local runs; nothing else is printed.",
        'curl -H "Authorization: Bearer $(shutterline token 7)" …/v1/feed',
    ),
    "publish": LazyCommand(
        TRY, "shutterline.commands.publish:app", "Publish one event by hand, to try things."
    ),
    "feed": LazyCommand(
        LOOK,
        "shutterline.commands.feed:feed",
        "Read a user's feed through the HTTP API.",
        "shutterline feed 7 --html feed.html",
    ),
    "inspect": LazyCommand(
        LOOK,
        "shutterline.commands.inspect:inspect",
        "Show what is stored of a user (as a reader), an author or a photo, and where.",
        "shutterline inspect author 7",
    ),
    "lag": LazyCommand(
        LOOK,
        "shutterline.commands.operations.lag:lag",
        "Show what waits for each consumer group, the worst first.",
        "shutterline lag --watch",
    ),
    "check": LazyCommand(
        LOOK,
        "shutterline.commands.check:check",
        "Compare feeds, counts and edges of sampled users with a recomputation from Cassandra.",
        "shutterline check --users 200",
    ),
}

# At module level because the installed command needs it; it holds no state.
app = typer.Typer(
    cls=lazy_group(COMMANDS),
    name="shutterline",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def shutterline() -> None:
    """Shutterline: events in through Kafka, feeds out over HTTP."""


def main() -> None:
    """The installed command `shutterline`."""
    app()
