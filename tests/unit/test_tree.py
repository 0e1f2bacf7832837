"""The repository keeps its own rules."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.stores.cassandra.migrations import Migration, MigrationRefused, read_migrations, to_apply

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "topics", "streams", "api", "infra", "shutterline", "bench", "tests")
FUNCTION_LINES_MAX = 70
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def test_the_folder_of_cql_holds_no_python() -> None:
    """A `.py` in `cassandra/` would shadow the driver's package."""
    assert [] == [path for path in (ROOT / "cassandra").rglob("*") if path.suffix == ".py"]


def test_migrations_are_numbered_without_a_gap_and_hold_one_statement_each() -> None:
    """They are applied one by one, and recorded one by one."""
    migrations = read_migrations()

    assert migrations
    for migration in migrations:
        assert ";" not in re.sub(r"--.*", "", migration.statement), migration.name


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    """Somebody would have applied the later one before the missing one."""
    for name in ("0001_one.cql", "0003_three.cql"):
        (tmp_path / name).write_text("CREATE TABLE t (a int PRIMARY KEY)")

    with pytest.raises(MigrationRefused, match="without a gap"):
        read_migrations(tmp_path)


def test_a_changed_migration_is_refused() -> None:
    """What is applied and what is written down would no longer be the same."""
    migration = Migration(1, "one", "CREATE TABLE t (a int PRIMARY KEY)", "now")

    with pytest.raises(MigrationRefused, match="has changed since it was applied"):
        to_apply([migration], {1: "then"})


def test_a_database_ahead_of_the_code_is_refused() -> None:
    """An older version of the code must not run on it."""
    with pytest.raises(MigrationRefused, match="not in this version"):
        to_apply([], {1: "then"})


def test_every_table_is_described() -> None:
    """`cassandra/README.md` says of each table who asks it what, and how large a partition gets."""
    readme = (ROOT / "cassandra" / "README.md").read_text()
    created = [re.search(r"CREATE TABLE IF NOT EXISTS (\w+)", each.statement) for each in read_migrations()]
    tables = [found[1] for found in created if found is not None]

    assert tables
    assert [] == [table for table in tables if f"`{table}`" not in readme]


def test_no_function_is_longer_than_can_be_seen_at_once() -> None:
    """Seventy lines are a smell."""
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES_MAX
    ]

    assert [] == long


def test_no_module_is_named_for_nothing() -> None:
    """A module is named after what it holds."""
    assert [] == [path for path in sources() if path.stem in EMPTY_NAMES]


def test_every_script_says_what_it_takes_and_why_it_is_one() -> None:
    """Redis scripts begin with their keys, arguments, answer, and why they are atomic or a script at all."""
    for script in (ROOT / "streams" / "stores" / "lua").glob("*.lua"):
        header = "".join(line for line in script.read_text().splitlines(True) if line.startswith("--"))

        for word in ("KEYS", "ARGV", "returns", "--"):
            assert word in header, f"{script.name}: {word}"


def test_the_lock_holds_hashes_and_no_addresses() -> None:
    """Whoever installs it chooses the registry; what comes from there is checked."""
    lock = (ROOT / "requirements.txt").read_text()
    pins = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]

    assert pins
    assert "://" not in lock
    assert "--index" not in lock
    assert len(pins) <= lock.count("--hash=sha256:")
