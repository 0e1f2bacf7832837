"""What the code logs: templates and known fields, so that lines of a kind can be found and counted."""

import ast
from collections.abc import Iterator
from pathlib import Path

from shutterline.logs import FIELDS
from streams.telemetry.lines import several

ROOT = Path(__file__).parents[2]
PRODUCT = ("schemas", "topics", "streams", "api", "infra", "shutterline")
METHODS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
LOGGERS = {"log", "_log", "_outages", "_failures", "logger"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the product, with its place."""
    for package in PRODUCT:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    for place, call in calls():
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr in METHODS and _is_logger(function.value):
            yield place, call


def _is_logger(of: ast.expr) -> bool:
    name = of.attr if isinstance(of, ast.Attribute) else of.id if isinstance(of, ast.Name) else ""
    return name in LOGGERS


def test_no_line_is_made_before_it_is_wanted() -> None:
    """A template is one kind of line, whatever its values are, and costs nothing below the level."""
    found = list(log_calls())
    formatted = [
        place
        for place, call in found
        for argument in call.args
        if isinstance(argument, ast.JoinedStr)
        or (isinstance(argument, ast.Call) and ast.unparse(argument.func).endswith(".format"))
    ]

    assert len(found) > 40
    assert [] == formatted


def test_every_field_is_one_that_lines_may_have() -> None:
    """A field that is not in the table is left out of the line. `docs/logs.md` has the table."""
    documented = (ROOT / "docs" / "logs.md").read_text()
    fields = {
        (place, key.value)
        for place, call in calls()
        for keyword in call.keywords
        if keyword.arg in ("extra", "fields")
        for node in ast.walk(keyword.value)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }

    assert len(fields) > 10
    assert [] == [(place, name) for place, name in sorted(fields) if name not in FIELDS]
    assert [] == [name for name in FIELDS if f"`{name}`" not in documented]


def test_fields_of_several_values_have_plural_names() -> None:
    """A field has values of one type."""
    assert {"offset": 1} == several("offset", [1])
    assert {"offsets": [1, 2]} == several("offset", [1, 2])
    assert {} == several("offset", [])
    assert {name for name in FIELDS if name.endswith("s")} <= {f"{name}s" for name in FIELDS}
