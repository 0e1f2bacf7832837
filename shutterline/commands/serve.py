"""`shutterline worker` and `shutterline api`: the programs of the pipeline. Each runs until it is stopped."""

from collections.abc import Sequence
from typing import Annotated

import typer
import uvloop

from shutterline.failures import CommandFailed, load_settings, plain_failures
from shutterline.logs import access_events, log_to_stderr
from streams.roles import EVENT_ROLES, MEDIA_ROLES, Role


@plain_failures()
def worker(
    roles: Annotated[
        str | None, typer.Option(help="Which consumer groups this worker joins; by default all but media's.")
    ] = None,
    media: Annotated[bool, typer.Option("--media", help="Make renditions: join thumbnail and full.")] = False,
) -> None:
    from streams.worker.run import run_worker  # Imported here: the API does not need it.

    chosen = _chosen_roles(roles, media=media)
    log_to_stderr()
    uvloop.run(run_worker(chosen))


@plain_failures(ValueError)  # An address, a secret or a key is invalid.
def api() -> None:
    from api.serve import run  # Imported here: a worker does not need it.

    settings = load_settings()
    log_to_stderr()
    run(settings, access_events())


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
