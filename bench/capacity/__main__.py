"""Size brokers, Cassandra, Redis, workers, API processes, storage and network for a load at its peak.

    python -m bench.capacity [--users 10e6] [--likes N] ... [--assume NAME=VALUE ...] [--json FILE]
    python -m bench.capacity --check RESULT.json

Without options it is for the target system: 500 million users of a day, 2,315 uploads, 146,000 likes
and 350,000 feed reads a second, 100 billion follow edges. With `--users` alone, everything else is in
proportion. No server is needed: the costs are those that `bench/README.md` states, or with
`--coefficients` those in a result of `bench.costs --json` or `bench.capacity.trial`.

`--check` compares the runs in a result of `bench.capacity.trial` with what the costs in the same
result predict; it ends with status 1 if the CPU of a run is off by more than 20 %.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rich.console import Console

from bench.capacity.check import predictions, runs_in
from bench.capacity.coefficients import COMMITTED, CapacityError, read_result, taken_from
from bench.capacity.load import ABOUT, TARGET, Assumptions, Load, load_of
from bench.capacity.report import (
    Report,
    amounts_table,
    bill_table,
    check_table,
    effects_table,
    number,
    partitions_table,
)

WIDTH = 112  # So that the output fits into a document, too.
_MEANING = {
    "users": "users of a day",
    "uploads": "photos a second",
    "likes": "likes a second",
    "follows": "follows a second",
    "reads": "pages of feeds a second",
    "edges": "follow edges that are stored",
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    console = Console(width=WIDTH, highlight=False)
    try:
        if options.check:
            return _check(options.check, console)
        _size(options, console)
    except CapacityError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    known = "\n".join(
        f"  {name}={about_value:g}  {about.unit} {about.meaning}"
        for name, about in ABOUT.items()
        for about_value in (getattr(Assumptions(), name),)
    )
    parser = argparse.ArgumentParser(
        prog="python -m bench.capacity",
        description=__doc__,
        epilog=f"assumptions:\n{known}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for each in fields(Load):
        shown = f"{_MEANING[each.name]}; the target system has {number(getattr(TARGET, each.name))}"
        parser.add_argument(f"--{each.name}", type=float, metavar="N", help=shown)
    parser.add_argument("--assume", nargs="+", default=[], metavar="NAME=VALUE", help="see below")
    for name, meaning in {
        "coefficients": "take the costs from this result of a bench",
        "json": "write every figure, with assumptions and sources, here",
        "check": "compare the runs of this trial with their prediction",
    }.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=meaning)
    return parser


def _size(options: argparse.Namespace, console: Console) -> None:
    given = {each.name: getattr(options, each.name) for each in fields(Load)}
    load = load_of({name: value for name, value in given.items() if value is not None})
    assumed = Assumptions().with_values(dict(map(_assumption, options.assume)))
    coefficients = taken_from(options.coefficients, COMMITTED) if options.coefficients else COMMITTED
    report = Report.of(load, assumed, coefficients)
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    console.print(
        f"{number(load.users)} users, {number(load.edges)} edges; a second at the peak: "
        f"{number(load.uploads)} uploads, {number(load.likes)} likes, {number(load.follows)} follows, "
        f"{number(load.reads)} reads"
    )
    for table in (
        bill_table(report.bill),
        amounts_table(report.bill),
        partitions_table(report.lanes),
        effects_table(report.effects),
    ):
        console.print(table)
    for sentence in report.sentences():
        console.print(sentence)


def _assumption(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise CapacityError(f"{text!r} is not NAME=VALUE with a number") from None


def _check(path: Path, console: Console) -> int:
    result = read_result(path)
    coefficients = taken_from(path, COMMITTED)
    is_off = False
    for run in runs_in(result):
        rows = predictions(run, coefficients)
        console.print(check_table(run, rows))
        is_off = is_off or not rows[-1].is_within
    return 1 if is_off else 0


if __name__ == "__main__":
    raise SystemExit(main())
