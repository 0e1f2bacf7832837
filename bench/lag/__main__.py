"""The lag monitor in situations whose truth is known, and what other monitors would say of the same traces.

    python -m bench.lag [--only NAME]

It starts a broker of its own. The table is Markdown; docs/lag.md has it.
"""

import argparse
import asyncio

from rich.console import Console

from bench.lag.run import play_all
from bench.lag.scenarios import SCENARIOS
from bench.lag.scores import Errors, Score, Verdicts, score_of
from bench.measuring.running import HOME
from infra.local.stack import Stack

HEADINGS = (
    "scenario",
    "truth",
    "verdict after",
    "wrong looks",
    "error of messages, of seconds (p99)",
    "Burrow",
    "kminion",
    "lag exporter",
)


def row_of(name: str, score: Score) -> str:
    """Return the scenario's row of the table."""
    cells = (
        name,
        score.truth.value,
        _verdict(score.ours),
        f"{len(score.ours.wrong)}, false STOPPED {score.ours.false_alarms}",
        _errors(score.our_errors),
        f"{score.burrow_said}; {_verdict(score.burrow)}, false alarms {score.burrow.false_alarms}",
        _errors(score.kminion_errors),
        _errors(score.exporter_errors),
    )
    return f"| {' | '.join(cells)} |"


def _verdict(verdicts: Verdicts) -> str:
    return "never" if verdicts.took_s is None else f"{verdicts.took_s:.1f} s"


def _errors(errors: Errors) -> str:
    seconds = "" if errors.seconds_p99 is None else f", {errors.seconds_p99:.2f} s"
    unknown = f", {errors.unknown} unknown" if errors.unknown else ""
    return f"{errors.messages_max:,.0f}{seconds}{unknown}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    names = parser.parse_args().only
    stack = Stack(HOME, dies_with_parent=True)
    stack.clean()
    stack.choose_ports()
    kafka = stack.server("kafka")
    try:
        kafka.start()
        kafka.wait_ready()

        def start() -> None:
            kafka.start()
            kafka.wait_ready()

        traces = asyncio.run(
            play_all(
                f"127.0.0.1:{kafka.port}",
                kill=kafka.kill,
                start=start,
                scenarios={name: SCENARIOS[name] for name in names},
            )
        )
    finally:
        stack.stop()
    console = Console(width=250)
    console.print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}", soft_wrap=True)
    for name in names:
        console.print(row_of(name, score_of(traces[name])), soft_wrap=True)
    for name in names:
        for line in score_of(traces[name]).ours.wrong:
            console.print(f"{name}: {line}", soft_wrap=True)


if __name__ == "__main__":
    main()
