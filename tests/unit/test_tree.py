"""The repository follows its own rules."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.stores.cassandra.migrations import Migration, MigrationRefused, read_migrations, to_apply

ROOT = Path(__file__).parents[2]
PRODUCT = ("schemas", "topics", "streams", "api", "infra", "shutterline")
PACKAGES = (*PRODUCT, "bench", "tests")
FUNCTION_LINES_MAX = 70
FOLDER_MODULES_MAX = 16
MODULE_LINES_MAX = 500
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}
# No function may take one of these as a whole. It takes the group, the part or the port that it
# uses.
BAGS = {"Stores", "Settings", "ApiContext"}
# The parts that the wirings of a worker take theirs from.
COMPOSITIONS = {Path("streams/worker/parts.py")}
# Words that this code once used for what the field calls returning, caching, tombstones, counts,
# checkpoints, throttling, hydration.
FORMER_WORDS = {
    *("answers", "copies", "own_side", "other_side", "own_edges", "kept", "stands", "bury", "is_buried"),
    *("head", "heads", "live", "lives", "way", "giving_way", "places", "notes", "coming_again"),
    *("standing", "dressing", "dress", "made", "patient"),
    *("GivingWay", "Places", "FanoutNotes", "ComingAgain", "Head", "OwnEdge", "OwnEdges", "Copies"),
    *("PatientDecoder", "Made", "EdgeCaches"),
}


def sources(packages: tuple[str, ...] = PACKAGES) -> Iterator[Path]:
    for package in packages:
        yield from (ROOT / package).rglob("*.py")


def nodes(packages: tuple[str, ...] = PACKAGES) -> Iterator[tuple[Path, ast.AST]]:
    """Every syntax node of every source, with its file."""
    for path in sources(packages):
        for node in ast.walk(ast.parse(path.read_text())):
            yield path, node


def test_the_folder_of_cql_holds_no_python() -> None:
    """A `.py` in `cassandra/` would shadow the driver's package."""
    assert [] == [path for path in (ROOT / "cassandra").rglob("*") if path.suffix == ".py"]


def test_migrations_are_numbered_without_a_gap_and_hold_one_statement_each() -> None:
    """Migrations are applied and recorded one by one, so each has one statement."""
    migrations = read_migrations()

    assert migrations
    for migration in migrations:
        assert ";" not in re.sub(r"--.*", "", migration.statement), migration.name


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    """If the missing migration were added later, deployments would already have applied the one
    after it."""
    for name in ("0001_one.cql", "0003_three.cql"):
        (tmp_path / name).write_text("CREATE TABLE t (a int PRIMARY KEY)")

    with pytest.raises(MigrationRefused, match="without a gap"):
        read_migrations(tmp_path)


def test_a_changed_migration_is_refused() -> None:
    """Otherwise the file would no longer describe the statement that was applied."""
    migration = Migration(1, "one", "CREATE TABLE t (a int PRIMARY KEY)", "now")

    with pytest.raises(MigrationRefused, match="has changed since it was applied"):
        to_apply([migration], {1: "then"})


def test_a_database_ahead_of_the_code_is_refused() -> None:
    """An older version of the code must not run on a newer schema."""
    with pytest.raises(MigrationRefused, match="not in this version"):
        to_apply([], {1: "then"})


def test_every_table_is_described() -> None:
    """`cassandra/README.md` describes the queries of each table and the size of its partitions."""
    readme = (ROOT / "cassandra" / "README.md").read_text()
    created = [
        re.search(r"CREATE TABLE IF NOT EXISTS (\w+)", migration.statement) for migration in read_migrations()
    ]
    tables = [found[1] for found in created if found is not None]

    assert tables
    assert [] == [table for table in tables if f"`{table}`" not in readme]


def test_no_function_is_longer_than_can_be_seen_at_once() -> None:
    """A function of more than 70 lines should be split."""
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path, node in nodes()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES_MAX
    ]

    assert [] == long


def test_no_module_is_named_for_nothing() -> None:
    """A module must be named after its content."""
    assert [] == [path for path in sources() if path.stem in EMPTY_NAMES]


def test_no_signature_takes_a_whole_bag() -> None:
    """The parameters of a function must show what it uses."""
    bags = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}({argument.arg})"
        for path, node in nodes(("streams", "api", "shutterline"))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.annotation is not None
        and BAGS & set(re.findall(r"\w+", ast.unparse(argument.annotation)))
    ]

    assert [] == bags


def test_only_the_compositions_hold_a_whole_bag() -> None:
    """A class that holds all stores or all settings says of itself that it may touch everything."""
    bags = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}"
        for path, node in nodes(("streams", "api", "shutterline"))
        if isinstance(node, ast.AnnAssign)
        and BAGS & set(re.findall(r"\w+", ast.unparse(node.annotation)))
        and path.relative_to(ROOT) not in COMPOSITIONS
    ]

    assert [] == bags


def test_no_module_is_too_long_to_be_read() -> None:
    """A module that long holds several that want to exist. Tests may be long: each stands alone."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources(PRODUCT)}

    assert {} == {path: length for path, length in lengths.items() if length > MODULE_LINES_MAX}


def test_no_folder_holds_more_modules_than_can_be_seen_at_once() -> None:
    """A folder with more modules should be split into folders."""
    modules = Counter(path.parent.relative_to(ROOT) for path in sources())

    assert {} == {str(folder): count for folder, count in modules.items() if count > FOLDER_MODULES_MAX}


def test_former_words_are_no_identifiers() -> None:
    """Each thing has one name, and it is the usual word of the field."""
    former = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)} {name}"
        for path, node in nodes(PRODUCT)
        for name in defined_names(node)
        if name in FORMER_WORDS
    ]
    former += [str(path.relative_to(ROOT)) for path in sources(PRODUCT) if path.stem in FORMER_WORDS]

    assert [] == former


def test_data_reaches_the_terminal_through_one_module() -> None:
    """Only `shutterline/terminal.py` makes consoles and styled texts, because it makes what is stored
    printable. A command that prints otherwise would let a caption command the terminal."""
    around = {
        "print",
        "Console",
        "Text",
        "echo",
        "secho",
        "assemble",
        "from_markup",
        "from_ansi",
        "stdout",
        "stderr",
    }
    found = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)} {name}"
        for path, node in nodes(("shutterline",))
        if path != ROOT / "shutterline" / "terminal.py"
        for name in used_names(node)
        if name in around
    ]

    assert [] == found


def used_names(node: ast.AST) -> Iterator[str]:
    """Return the functions that a call calls, and the streams that an attribute names."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield node.func.id
    elif isinstance(node, ast.Attribute) and node.attr != "print":
        yield node.attr


def defined_names(node: ast.AST) -> Iterator[str]:
    """Return the names that a node defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name.removeprefix("_")
    elif isinstance(node, ast.arg):
        yield node.arg.removeprefix("_")
    elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield (node.id if isinstance(node, ast.Name) else node.attr).removeprefix("_")


def test_every_package_is_known_to_the_import_rules() -> None:
    """A package without a rule could import anything. Layer contracts are exhaustive, so a new
    module must be added to them."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = [contract for contract in rules["contracts"] if contract["type"] == "layers"]

    assert set(PACKAGES) == set(rules["root_packages"])
    assert all(contract.get("exhaustive") for contract in layers if "containers" in contract)
    assert not any("ignore_imports" in contract for contract in rules["contracts"])


def test_every_script_says_what_it_takes_and_why_it_is_one() -> None:
    """The header of a Redis script has its keys, arguments and result, and the reason why it is a
    script."""
    scripts = list((ROOT / "streams" / "stores" / "redis" / "lua").glob("*.lua"))

    assert scripts
    for script in scripts:
        header = "".join(line for line in script.read_text().splitlines(True) if line.startswith("--"))

        for word in ("KEYS", "ARGV", "returns", "--"):
            assert word in header, f"{script.name}: {word}"


def test_the_lock_holds_hashes_and_no_addresses() -> None:
    """The operator who installs the packages chooses the registry, and the hashes verify the
    downloads."""
    lock = (ROOT / "requirements.txt").read_text()
    pins = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]

    assert pins
    assert "://" not in lock
    assert "--index" not in lock
    assert len(pins) <= lock.count("--hash=sha256:")
