"""Read what processes log: a JSON object a line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def sentence_of(line: str) -> str:
    """What a line says: the event of a process's line, or the line of a command."""
    return str(json.loads(line)["event"]) if line.startswith("{") else line


def log_lines(file: Path) -> list[Mapping[str, Any]]:
    """Every line of a process's log."""
    return [json.loads(line) for line in file.read_text().splitlines()]
