"""Check that this machine has what the project cannot install itself, and say how to get what is missing.

Run as `python -m infra.local.prerequisites`, with `servers` if servers are to run. It runs before anything is
installed, with any Python 3: so it uses only the standard library, and syntax that an old Python can read.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from typing import Mapping, Optional, Sequence  # noqa: UP035 - an old Python has to get as far as our message.

PYTHON = (3, 11)
# Not a minimum: Kafka 4 needs 17, and Cassandra 5.0 does not start on anything newer.
JAVA_MAJOR = 17
ANSWER_DEADLINE_S = 60


def problems(environment: Mapping[str, str], *, servers: bool) -> list[str]:
    """Everything that is missing, each with how to get it; empty if nothing is."""
    have_venv = all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))
    found = [
        None if sys.platform == "linux" else f"Linux is needed, this is {sys.platform}",
        python_problem(sys.version_info[:3], sys.executable, have_venv=have_venv),
    ]
    if servers:
        found += [java_problem(environment), maven_problem(environment)]
    return [problem for problem in found if problem]


def python_problem(version: Sequence[int], executable: str, *, have_venv: bool) -> Optional[str]:  # noqa: UP045 - see above.
    """What is wrong with this Python, its version or no `venv`, and what to do; None if nothing."""
    if tuple(version[:2]) != PYTHON:
        number = ".".join(str(part) for part in version)
        return (
            f"Python 3.11 is needed, {executable} is {number}: install it (apt-get install python3.11 "
            "python3.11-venv, or pyenv install 3.11), or say where it is with make PYTHON=/path/to/python3.11"
        )
    if not have_venv:
        return f"{executable} cannot make virtual environments: apt-get install python3.11-venv"
    return None


def java_problem(environment: Mapping[str, str]) -> Optional[str]:  # noqa: UP045 - see above.
    """What is wrong with the Java that would be used, if anything."""
    advice = "apt-get install openjdk-17-jdk-headless, or set JAVA_HOME to the folder of a JDK 17"
    java = find_java(environment)
    if java is None:
        place = "$JAVA_HOME/bin" if environment.get("JAVA_HOME") else "PATH"
        return f"A JDK 17 is needed for Kafka, Cassandra and S3, and there is no java in {place}: {advice}"
    major = java_major(_answer([java, "-version"], environment))
    if major != JAVA_MAJOR:
        found = f"version {major}" if major else "of no version that it tells"
        return f"A JDK 17 is needed for Kafka, Cassandra and S3, {java} is {found}: {advice}"
    return None


def maven_problem(environment: Mapping[str, str]) -> Optional[str]:  # noqa: UP045 - see above.
    """What is wrong with Maven, if anything."""
    if shutil.which("mvn", path=environment.get("PATH")) is None:
        return "Maven is needed to fetch the servers, and there is no mvn in PATH: apt-get install maven"
    return None


def find_java(environment: Mapping[str, str]) -> Optional[str]:  # noqa: UP045 - see above.
    """The java of JAVA_HOME, else the one in PATH."""
    folder = environment.get("JAVA_HOME")
    path = os.path.join(folder, "bin") if folder else environment.get("PATH")
    return shutil.which("java", path=path)


def java_major(answer: str) -> Optional[int]:  # noqa: UP045 - see above.
    """The major version in what `java -version` prints: 17 for "17.0.15", 8 for "1.8.0_392"."""
    match = re.search(r'version "(?:1\.)?(\d+)', answer)
    return int(match.group(1)) if match else None


def _answer(command: list[str], environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ANSWER_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")


def main() -> int:
    """Print what is missing; the exit code says whether anything is."""
    found = problems(os.environ, servers="servers" in sys.argv[1:])
    for problem in found:
        print(f"missing: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
