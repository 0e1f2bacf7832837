"""Prepares the Java servers' classes (AppCDS) so that they start in about half the time.

Each server is started once on throw-away data and writes down the classes it has loaded when it ends. The
archives belong to one Java and one set of jars; others ignore them. Everything works without them, slower.
"""

import tempfile
import time
from pathlib import Path

from infra.local.errors import StackError
from infra.local.processes.daemon import stop_all
from infra.local.progress import Progress
from infra.local.servers.jars import KINDS
from infra.local.servers.java import archive
from infra.local.stack import Stack

# Cassandra takes 10 s to write its own on an idle machine.
DUMP_DEADLINE_S = 300.0


def prepare(library: Path, progress: Progress) -> None:
    """Make the archives that are missing. If one cannot be made, starts are slower."""
    kinds = [kind for kind in KINDS if not archive(library, kind).exists()]
    if not kinds:
        return
    began = time.monotonic()
    progress.doing(f"preparing faster starts of {', '.join(kinds)}")
    with tempfile.TemporaryDirectory(prefix="prepare-", dir=library) as folder:
        stack = Stack(Path(folder), library=library, dies_with_parent=True)
        try:
            _dump(stack, kinds, Path(folder))
        except StackError as error:
            progress.done(f"starts stay slower, no archive could be made: {error}")
            return
        finally:
            stack.stop()
        for archive_file in Path(folder).glob("*.jsa"):
            archive_file.rename(library / archive_file.name)
    progress.done(f"faster starts prepared in {time.monotonic() - began:.0f} s")


def _dump(stack: Stack, kinds: list[str], into: Path) -> None:
    stack.choose_ports()
    servers = [stack.server(kind) for kind in kinds]
    for server in servers:
        # In the environment, because these flags must come before all others, and only in this one run.
        server.start(
            {"JDK_JAVA_OPTIONS": f'"-XX:ArchiveClassesAtExit={into}/{server.name}.jsa" -Xlog:cds=error'}
        )
    for server in servers:
        server.wait_ready()
    stop_all(servers, DUMP_DEADLINE_S)
