"""`shutterline lag`: the verdicts of the lag monitor."""

import time
from typing import Annotated

import orjson
import typer

from infra.local.servers.probes import http_body
from shutterline.failures import CommandFailed, load_settings, plain_failures
from shutterline.lag.verdicts import Json, shown
from shutterline.terminal import terminal

REFRESH_S = 2.0


@plain_failures()
def lag(
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again every 2 seconds, until Ctrl-C.")
    ] = False,
) -> None:
    address = load_settings().monitor
    if not watch:
        terminal().print(shown(_report(address)))
        return
    from rich.live import Live  # Imported here: most runs do not need it.

    with Live(console=terminal(), auto_refresh=False) as display:
        while True:
            try:
                display.update(shown(_report(address)), refresh=True)
            except CommandFailed as failure:  # The monitor may be starting again.
                display.update(str(failure), refresh=True)
            time.sleep(REFRESH_S)


def _report(address: str) -> Json:
    body = http_body(address, "/lag")
    if body is None:
        raise CommandFailed(
            f"No lag monitor with a sample responds at {address}. Start it with `make up` or "
            "`shutterline monitor`, or say where it is with SHUTTERLINE_MONITOR."
        )
    report: Json = orjson.loads(body)
    return report
