"""What a machine must have before the local stack can be installed or started."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local import prerequisites


class TestPrerequisites:
    @pytest.fixture
    def machine(self, tmp_path: Path) -> Callable[[str, str], dict[str, str]]:
        """Puts a program that prints `answer` into an otherwise empty PATH."""

        def install(program: str, answer: str) -> dict[str, str]:
            folder = tmp_path / "bin"
            folder.mkdir(exist_ok=True)
            (folder / program).write_text(f"#!/bin/sh\necho '{answer}' >&2\n")
            (folder / program).chmod(0o755)
            return {"PATH": str(folder)}

        return install

    def test_a_missing_java_is_named_with_the_way_to_get_it(self, tmp_path: Path) -> None:
        """A newcomer sees only this message, so it must say what to install."""
        problem = prerequisites.java_problem({"PATH": str(tmp_path)})

        assert problem is not None
        assert "no java in PATH" in problem
        assert "apt-get install openjdk-17-jdk-headless" in problem

    @pytest.mark.parametrize(
        ("answer", "named"),
        [
            ('openjdk version "11.0.22" 2024-01-16', "version 11"),
            ('openjdk version "21.0.2" 2024-01-16', "version 21"),
            ('java version "1.8.0_392"', "version 8"),
            ("what?", "no version"),
        ],
    )
    def test_another_java_is_refused(
        self, machine: Callable[[str, str], dict[str, str]], answer: str, named: str
    ) -> None:
        """Cassandra 5.0 does not start on a Java newer than 17, and Kafka 4 not on an older one."""
        problem = prerequisites.java_problem(machine("java", answer))

        assert problem is not None
        assert named in problem
        assert "JAVA_HOME" in problem

    def test_java_17_is_taken(self, machine: Callable[[str, str], dict[str, str]]) -> None:
        """Vendor and patch version do not matter."""
        assert prerequisites.java_problem(machine("java", 'openjdk version "17.0.15" 2025-04-15')) is None

    def test_java_home_wins_over_path(
        self, machine: Callable[[str, str], dict[str, str]], tmp_path: Path
    ) -> None:
        """Maven does the same. So a machine can have a newer Java in its PATH."""
        environment = machine("java", 'openjdk version "17.0.15" 2025-04-15')
        problem = prerequisites.java_problem({**environment, "JAVA_HOME": str(tmp_path / "nowhere")})

        assert problem is not None
        assert "no java in $JAVA_HOME/bin" in problem

    def test_a_missing_maven_is_named_with_the_way_to_get_it(self, tmp_path: Path) -> None:
        """The servers can only be downloaded with Maven."""
        problem = prerequisites.maven_problem({"PATH": str(tmp_path)})

        assert problem is not None
        assert "apt-get install maven" in problem

    @pytest.mark.parametrize(
        ("version", "have_venv", "named"),
        [
            ((3, 9, 2), True, "Python 3.11 is needed, /usr/bin/python3 is 3.9.2"),
            ((3, 12, 0), True, "make PYTHON=/path/to/python3.11"),
            ((3, 11, 2), False, "apt-get install python3.11-venv"),
        ],
    )
    def test_another_python_is_refused(
        self, version: tuple[int, int, int], named: str, *, have_venv: bool
    ) -> None:
        """The lock file is for 3.11. The virtual environment needs the module venv, which Debian
        packages separately."""
        problem = prerequisites.python_problem(version, "/usr/bin/python3", have_venv=have_venv)

        assert problem is not None
        assert named in problem

    def test_java_and_maven_are_asked_for_only_where_servers_are_to_run(self, tmp_path: Path) -> None:
        """Unit tests run on a machine without Java and Maven."""
        nothing = {"PATH": str(tmp_path)}

        assert prerequisites.problems(nothing, servers=False) == []
        assert len(prerequisites.problems(nothing, servers=True)) == 2
