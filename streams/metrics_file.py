"""The files of the run folder that say where the metrics of a process are.

`PROCESS.metrics` has the address as `host:port`, for people and scripts. `PROCESS.target.json` has it as
Prometheus reads it (`file_sd_configs`), with the process's name as the instance. A process that is killed
leaves both behind, so that Prometheus says that it is down.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.settings import ProcessSettings

SUFFIXES = ("metrics", "target.json")


@contextmanager
def metrics_file(settings: ProcessSettings, host: str, port: int) -> Iterator[None]:
    """Write the files; remove them when the block ends."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    write_address(settings.run_dir, settings.process, address)
    try:
        yield
    finally:
        remove_address(settings.run_dir, settings.process)


def write_address(run_dir: Path, process: str, address: str) -> None:
    """Write the files of a process whose metrics are at `address`."""
    target = [{"targets": [address], "labels": {"instance": process}}]
    for suffix, text in zip(SUFFIXES, (address, json.dumps(target)), strict=True):
        # So a reader sees all of the former file or all of the new one.
        new = run_dir / f"{process}.{suffix}.new"
        new.write_text(f"{text}\n")
        new.replace(run_dir / f"{process}.{suffix}")


def remove_address(run_dir: Path, process: str) -> None:
    """Remove the files of a process, if they are there."""
    for suffix in SUFFIXES:
        (run_dir / f"{process}.{suffix}").unlink(missing_ok=True)
