"""`shutterline worker`, `api` and `monitor`: the programs of the pipeline. Each runs until it is stopped."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Annotated

import typer
import uvloop

from schemas.ids import UserId
from shutterline.failures import CommandFailed, load_settings, plain_failures
from shutterline.logs import access_events, log_to_stderr
from shutterline.tokens import token_source
from streams.roles import EVENT_ROLES, MEDIA_ROLES, Role
from streams.settings import ApiProcessSettings, ProcessSettings
from streams.telemetry.tracing import traced_by

log = logging.getLogger(__name__)


@plain_failures()
def worker(
    roles: Annotated[
        str | None, typer.Option(help="Which consumer groups this worker joins; by default all but media's.")
    ] = None,
    media: Annotated[bool, typer.Option("--media", help="Make renditions: join thumbnail and full.")] = False,
) -> None:
    from streams.worker.run import run_worker  # Imported here: the API does not need it.

    chosen, settings = _chosen_roles(roles, media=media), load_settings()
    with serving(settings):
        uvloop.run(run_worker(chosen))


@plain_failures()
def monitor() -> None:
    from streams.monitor.run import run_monitor  # Imported here: the others do not need it.

    settings = load_settings()
    # The port is in use, or there is no file with a token.
    with serving(settings, OSError):
        token = token_source(settings, UserId(settings.canary_user), settings.canary_token_file)
        if settings.canary_interval_ms:
            token()  # Without one the canary could never read.
        uvloop.run(run_monitor(token))


@plain_failures()
def api(
    processes: Annotated[
        int, typer.Option(min=1, help="How many processes serve the same port: one for each core.")
    ] = 1,
) -> None:
    if processes == 1:
        api_process()
        return
    from api.processes import run_together  # Imported here: a worker does not need it.

    settings = load_settings()
    log_to_stderr(settings.process, settings.log_level)
    raise typer.Exit(run_together(processes, partial(_api_member, count=processes)))


@plain_failures()
def api_process(number: int = 0, count: int = 1) -> None:
    """Run the API in this process; `number` is that of one of `count` on the same port, or 0."""
    from api.serve import run  # Imported here: a worker does not need it.

    settings: ApiProcessSettings = load_settings()
    if number:
        settings = settings.of_member(number, count)
    # An address, a secret or a key is invalid, or a port is in use.
    with serving(settings, ValueError, OSError):
        run(settings, access_events(settings.process), number=number)


@contextmanager
def serving(settings: ProcessSettings, *told: type[Exception]) -> Iterator[None]:
    """Log to standard error, also what ends the block; trace it if the settings say so."""
    log_to_stderr(settings.process, settings.log_level)
    with ExitStack() as closing:
        closing.enter_context(plain_failures(*told, say=partial(log.critical, "%s")))
        if settings.tracing:
            from streams.telemetry.otlp import OpenTelemetry  # Imported here: its import takes 0.3 s.

            closing.enter_context(traced_by(OpenTelemetry.exporting(settings.process)))
        yield


def _api_member(number: int, *, count: int) -> None:
    """Like `api_process`, for a process that is not a command."""
    try:
        api_process(number, count)
    except typer.Exit as ended:
        raise SystemExit(ended.exit_code) from None
    except Exception:  # multiprocessing would print it, as text.
        log.exception("ended by an error")
        raise SystemExit(1) from None


def _chosen_roles(names: str | None, *, media: bool) -> Sequence[Role]:
    """The roles of these names, with commas between; by default those of one kind of worker."""
    if names is None:
        return list(MEDIA_ROLES if media else EVENT_ROLES)
    if media:
        raise CommandFailed("Give either --media or --roles.")
    for name in names.split(","):
        if name not in [role.value for role in Role]:
            raise CommandFailed(f"{name!r} is no role; choose among {', '.join(Role)}, with commas between")
    return [Role(name) for name in names.split(",")]
