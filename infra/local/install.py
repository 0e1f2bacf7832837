"""Fetch the servers: run as `python -m infra.local.install`. Fast if everything is there."""

import sys

from rich.console import Console

from infra.local.errors import StackError
from infra.local.paths import shared_library
from infra.local.processes.interrupts import endings_interrupt
from infra.local.processes.lock import exclusive
from infra.local.progress import shown
from infra.local.servers.archives import prepare
from infra.local.servers.jars import fetch


def main() -> int:
    """Fetch what is missing and prepare faster starts; the exit code says whether everything is there."""
    folder = shared_library()
    console = Console()
    try:
        with endings_interrupt(), exclusive(folder), shown(console) as progress:
            fetch(folder, progress)
            prepare(folder, progress)
    except StackError as error:
        console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; the next run continues from here")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
