"""Prepares the Java servers' classes (AppCDS) so that they start in about half the time.

Each server is started once on throw-away data; when it ends, it writes the classes that it has
loaded to an archive. An archive fits one Java and one set of jars; with others it is ignored.
Without an archive, a server only starts more slowly.
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

# Cassandra takes 10 s to write its archive on an idle machine.
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
        # In the environment, because these flags must come before all others, and must apply to
        # this run only.
        server.start(
            {"JDK_JAVA_OPTIONS": f'"-XX:ArchiveClassesAtExit={into}/{server.name}.jsa" -Xlog:cds=error'}
        )
    for server in servers:
        server.wait_ready()
    stop_all(servers, DUMP_DEADLINE_S)
