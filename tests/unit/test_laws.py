"""The README's laws, the tests that are marked with them, and the test files in the README
agree."""

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAWS = [f"L{number}" for number in range(1, 16)]

_LAW_LINE = re.compile(r"^- \*\*(L\d+) .*$", re.MULTILINE)
_LINK = re.compile(r"\]\((tests/[^)]+)\)")


def files_by_law() -> dict[str, list[str]]:
    """Return the test files that the README has for each law, in the README's order."""
    readme = (ROOT / "README.md").read_text()
    return {line[1]: _LINK.findall(line[0]) for line in _LAW_LINE.finditer(readme)}


def marked_files() -> dict[str, set[str]]:
    """Return the files whose tests are marked with each law, by decorators of functions or
    classes."""
    marked: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for law in laws_of(node):
                    marked[law].add(str(path.relative_to(ROOT)))
    return marked


def laws_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list[str]:
    """The laws of `@pytest.mark.law(...)` decorators."""
    return [
        ast.literal_eval(argument)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.law"
        for argument in decorator.args
    ]


def test_the_readme_has_every_law_once_and_in_order() -> None:
    """Other documents and the tests refer to laws by id."""
    assert LAWS == list(files_by_law())


def test_every_law_is_checked_by_a_test_and_no_unknown_law_is_marked() -> None:
    """Without a test, nothing would show that the system breaks a law."""
    assert set(LAWS) == set(marked_files())


def test_every_file_that_the_readme_names_for_a_law_has_a_test_of_it() -> None:
    """A reader who opens the file from the README finds the law's id in it."""
    marked = marked_files()
    unmarked = [
        f"{law}: {name}" for law, names in files_by_law().items() for name in names if name not in marked[law]
    ]

    assert [] == unmarked
    assert [] == [law for law, names in files_by_law().items() if not names]
