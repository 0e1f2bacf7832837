"""Fetches the servers' jars with Maven, once.

A folder is complete when its stamp holds the digest of the
POM it was made from, so a changed version is fetched and an interrupted download begins again.
"""

import hashlib
import shutil
import subprocess
import time
from pathlib import Path

from infra.local.errors import StackError
from infra.local.paths import TEMPLATES
from infra.local.progress import Progress

KINDS = ("kafka", "cassandra", "s3")
STAMP = ".complete"
ERROR_LINES = 8


def missing(folder: Path) -> list[str]:
    """The servers whose jars are missing, or are not those of the POM."""
    return [kind for kind in KINDS if _stamped(folder / kind) != _digest(kind)]


def fetch(folder: Path, progress: Progress) -> None:
    """Fetch what is missing, one server after the other: Maven's cache must not have two writers.

    Raises:
        StackError: Maven failed; the message has its errors.
    """
    for kind in missing(folder):
        began = time.monotonic()
        draft = folder / f"{kind}.new"
        shutil.rmtree(draft, ignore_errors=True)
        _copy(kind, draft, progress)
        (draft / STAMP).write_text(_digest(kind))
        shutil.rmtree(folder / kind, ignore_errors=True)
        # The class-data archive was dumped from the jars just removed; `archives` dumps it again.
        (folder / f"{kind}.jsa").unlink(missing_ok=True)
        draft.rename(folder / kind)
        count = len(list((folder / kind).glob("*.jar")))
        progress.done(f"{kind}: {count} jars in {time.monotonic() - began:.0f} s")


def _digest(kind: str) -> str:
    return hashlib.sha256((TEMPLATES / kind / "pom.xml").read_bytes()).hexdigest()


def _stamped(folder: Path) -> str | None:
    stamp = folder / STAMP
    return stamp.read_text() if stamp.exists() else None


def _copy(kind: str, into: Path, progress: Progress) -> None:
    pom = TEMPLATES / kind / "pom.xml"
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={into}"]
    command = ["mvn", "-B", "-f", str(pom), "dependency:copy-dependencies", *options]
    progress.doing(f"{kind}: asking Maven for its jars")
    said: list[str] = []
    fetched = 0
    try:
        maven = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        raise StackError("there is no mvn in PATH: apt-get install maven") from None
    with maven:
        assert maven.stdout is not None
        for line in maven.stdout:
            said.append(line.rstrip())
            if line.startswith("[INFO] Downloaded") and ".jar" in line:
                fetched += 1
                progress.doing(f"{kind}: {fetched} jars downloaded")
    if maven.returncode != 0:
        errors = [line for line in said if line.startswith("[ERROR]")] or said
        raise StackError(
            f"Maven could not fetch the jars of {kind}. Is the network there, and do mirrors and proxies in "
            "~/.m2/settings.xml reach Maven Central? Then run the command again. Maven says:\n"
            + "\n".join(errors[:ERROR_LINES])
        )
