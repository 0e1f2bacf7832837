"""The references in `docs/`, made of the code: `python -m tests.references` writes them.

This is a module of the tests, because they alone may import every package.
"""

import ast
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from streams.settings import Settings

ROOT = Path(__file__).parents[1]
SETTINGS = ROOT / "streams" / "settings"
METRIC_PACKAGES = ("streams", "api", "infra", "shutterline")
METRIC_KINDS = ("Counter", "Gauge", "Histogram")
# The last word of a setting's name that is no qualifier is its unit, if it is one of these.
QUALIFIERS = {"max", "min"}
UNITS = {
    "s": "seconds",
    "ms": "milliseconds",
    "bytes": "bytes",
    "pixels": "pixels",
    "deliveries": "deliveries",
    "records": "records",
    "photos": "photos",
    "followers": "followers",
    "follows": "follows",
    "members": "members",
    "owners": "owners",
    "ids": "ids",
    "slots": "slots",
    "objects": "objects",
    "minute": "per minute",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as the code defines it. A counter's `name` ends with `_total`, as it is exposed.

    `buckets` are the upper bounds of a histogram; the last one, infinity, is left out.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str
    buckets: tuple[float, ...] = ()

    def series(self) -> dict[str, frozenset[str]]:
        """The names of its samples, and the labels of each."""
        own = frozenset(self.labels)
        if self.kind != "Histogram":
            return {self.name: own}
        return {f"{self.name}_bucket": own | {"le"}, f"{self.name}_count": own, f"{self.name}_sum": own}


def settings_reference() -> str:
    """`docs/settings.md`: every setting by part, with its variable, type, default, unit and comment."""
    lines = [
        "# Settings",
        "",
        "Generated from `streams/settings/` by `make docs`. Do not edit it by hand.",
    ]
    for path in sorted(SETTINGS.glob("*.py")):
        comments = _comments(path)
        for part in (part for part in ast.parse(path.read_text()).body if isinstance(part, ast.ClassDef)):
            rows = [_setting_row(field, comments) for field in part.body if isinstance(field, ast.AnnAssign)]
            if not rows:
                continue
            lines += ["", f"## {part.name}", "", _one_line(ast.get_docstring(part) or ""), ""]
            lines += ["| setting | variable | type | default | unit | meaning |", "|---|---|---|---|---|---|"]
            lines += rows
    return "\n".join(lines) + "\n"


def metrics_reference() -> str:
    """`docs/metrics.md`: every Prometheus metric as it is exposed, with its type, labels and help."""
    lines = [
        "# Metrics",
        "",
        "Generated from the definitions in the code by `make docs`. Do not edit it by hand.",
    ]
    for path, metrics in defined_metrics():
        rows = [_metric_row(metric) for metric in metrics]
        if rows:
            lines += ["", f"## `{path.relative_to(ROOT)}`", ""]
            lines += ["| metric | type | labels | meaning |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def defined_metrics() -> Iterator[tuple[Path, list[Metric]]]:
    """Every module of the product, in the order of the paths, and the metrics that it defines."""
    for path in sorted(path for package in METRIC_PACKAGES for path in (ROOT / package).rglob("*.py")):
        yield path, [_metric(call) for call in _metric_calls(path)]


REFERENCES = {
    ROOT / "docs" / "settings.md": settings_reference,
    ROOT / "docs" / "metrics.md": metrics_reference,
}


def _name(field: ast.AnnAssign) -> str:
    assert isinstance(field.target, ast.Name)
    return field.target.id


def _comments(path: Path) -> dict[int, tuple[str, bool]]:
    """The comment of each line, and whether it has the line to itself."""
    with tokenize.open(path) as file:
        return {
            token.start[0]: (token.string.lstrip("# "), not token.line[: token.start[1]].strip())
            for token in tokenize.generate_tokens(file.readline)
            if token.type == tokenize.COMMENT
        }


def _setting_row(field: ast.AnnAssign, comments: dict[int, tuple[str, bool]]) -> str:
    name = _name(field)
    above: list[str] = []
    line = field.lineno - 1
    while comments.get(line, ("", False))[1]:
        above.insert(0, comments[line][0])
        line -= 1
    lines = range(field.lineno, (field.end_lineno or field.lineno) + 1)
    beside = [comments[line][0] for line in lines if line in comments]
    cells = [
        f"`{name}`",
        f"`SHUTTERLINE_{name.upper()}`",
        f"`{ast.unparse(field.annotation)}`",
        _default(name),
        _unit(name),
        " ".join([*above, *beside]),
    ]
    return _row(cells)


def _default(name: str) -> str:
    value = Settings.model_fields[name].get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "empty" if value in ("", {}) else f"`{value}`"


def _unit(name: str) -> str:
    words = [word for word in name.split("_") if word not in QUALIFIERS]
    if words[-2:] == ["per", "s"]:
        return "per second"
    return UNITS.get(words[-1], "")


def _metric_calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in METRIC_KINDS
            and len(node.args) > 1
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node


def _metric(call: ast.Call) -> Metric:
    assert isinstance(call.func, ast.Name)
    name, text, *rest = (ast.literal_eval(argument) for argument in call.args)
    kind = call.func.id
    exposed = f"{name}_total" if kind == "Counter" else name
    buckets = [ast.literal_eval(option.value) for option in call.keywords if option.arg == "buckets"]
    return Metric(exposed, kind, tuple(rest[0] if rest else ()), text, *buckets)


def _metric_row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return _row([f"`{metric.name}`", metric.kind.lower(), labels, metric.text])


def _row(cells: list[str]) -> str:
    escaped = " | ".join(_one_line(cell).replace("|", "\\|") for cell in cells)
    return f"| {escaped} |"


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


if __name__ == "__main__":
    for target, reference in REFERENCES.items():
        target.write_text(reference())
