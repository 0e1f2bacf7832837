"""A program that serves says in its log what ends it, and is traced only if the settings say so."""

import json
import subprocess
import sys
from time import monotonic

import pytest

PROGRAM = """
import sys, typer
from shutterline.commands.serve import serving
from shutterline.failures import CommandFailed
from streams.settings import ProcessSettings
from streams.telemetry import tracing
from streams.telemetry.tracing import Kind

ENDS = {
    "said": CommandFailed("do that instead"),
    "told": OSError("the port is in use"),
    "bug": KeyError("a bug"),
}
try:
    with serving(ProcessSettings(process="worker-1", tracing=sys.argv[1] == "traced"), OSError):
        traced = tracing.current()
        print(traced is not None)
        if traced:
            with traced.span("a", Kind.SERVER, {}):
                pass
        if sys.argv[2] in ENDS:
            raise ENDS[sys.argv[2]]
except typer.Exit as ended:
    sys.exit(ended.exit_code)
"""


def run(traced: str, end: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, traced, end],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
    )


@pytest.mark.parametrize(
    ("end", "event", "error"),
    [
        ("said", "do that instead", None),
        ("told", "the port is in use", None),
        ("bug", "ended by an error", "KeyError"),
    ],
)
def test_what_ends_a_process_is_one_line_of_its_log(end: str, event: str, error: str | None) -> None:
    """A failure that somebody can correct is a sentence; a bug has its traceback."""
    ended = run("untraced", end)

    [line] = map(json.loads, ended.stderr.splitlines())
    assert (1, event, "critical", "worker-1") == (
        ended.returncode,
        line["event"],
        line["level"],
        line["process"],
    )
    assert error == (line["exception"][0]["exc_type"] if error else line.get("exception"))


@pytest.mark.parametrize("traced", ["traced", "untraced"])
def test_a_process_is_traced_if_its_settings_say_so(traced: str) -> None:
    """A collector that is away is a line of the log, and holds up the end for a moment only."""
    began_s = monotonic()
    ended = run(traced, "fine")

    assert (0, str(traced == "traced")) == (ended.returncode, ended.stdout.strip()), ended.stderr
    assert {"worker-1"} >= {json.loads(line)["process"] for line in ended.stderr.splitlines()}
    assert monotonic() - began_s < 30
