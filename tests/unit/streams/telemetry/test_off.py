"""Traces that are off cost nothing: the SDK is not even imported."""

import subprocess
import sys

import pytest

PROGRAMS = ("streams.worker.run", "streams.monitor.run", "api.serve", "shutterline.commands.serve")
IMPORTED = """
import importlib, sys
for program in sys.argv[1:]:
    importlib.import_module(program)
print(*(name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))))
"""


@pytest.mark.parametrize(
    ("programs", "is_imported"), [(PROGRAMS, False), (("streams.telemetry.otlp",), True)]
)
def test_only_traces_import_the_sdk(programs: tuple[str, ...], is_imported: bool) -> None:
    """It would take 0.3 s of each start, and memory."""
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTED, *programs], capture_output=True, text=True, check=True, timeout=60
    )

    assert is_imported is bool(ended.stdout.strip()), ended.stdout
