"""The command lines of the servers that are Java programs."""

import os
from pathlib import Path

from infra.local.errors import StackError
from infra.local.prerequisites import find_java, java_problem

# The servers are small and short-lived, so one compiler and one garbage collector thread cost the
# least: they start fast and need little memory. The C2 compiler would use one of two cores for
# minutes.
FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)


def archive(library: Path, kind: str) -> Path:
    """Where the prepared classes (AppCDS) of a server are, if they have been made."""
    return library / f"{kind}.jsa"


def java(library: Path, kind: str, *, agent: str | None = None, heap: tuple[str, str]) -> list[str]:
    """The beginning of a command line: the virtual machine, its common flags, the class path.

    `heap` is the first and the greatest size; `agent` a pattern that names a jar of the library.
    With a prepared archive the classes are mapped, not parsed, which saves about half of a start.
    The virtual machine ignores an archive that no longer fits the Java or the jars.
    """
    jars = library / kind
    prepared = archive(library, kind)
    line = [java_binary(), *FLAGS, f"-Xms{heap[0]}", f"-Xmx{heap[1]}"]
    if agent:
        line += [f"-javaagent:{jar}" for jar in jars.glob(agent)]
        line += ["-XX:+UnlockDiagnosticVMOptions", "-XX:+AllowArchivingWithJavaAgent"]
    if prepared.exists():
        line += [
            f"-XX:SharedArchiveFile={prepared}",
            "-Xshare:auto",
            "-Xlog:cds=off",
            "-Xlog:cds+dynamic=off",
        ]
    return [*line, "-cp", f"{jars}/*"]


def java_binary() -> str:
    """The Java to run.

    Raises:
        StackError: There is none.
    """
    found = find_java(os.environ)
    if found is None:
        raise StackError(java_problem(os.environ) or "there is no java")
    return found
