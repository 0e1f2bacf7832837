"""The file `RUN_DIR/PROCESS.metrics`, which has the address of a process's metrics."""

from collections.abc import Iterator
from contextlib import contextmanager

from streams.settings import ProcessSettings


@contextmanager
def metrics_file(settings: ProcessSettings, host: str, port: int) -> Iterator[None]:
    """Write `host:port` to the file; remove the file when the block ends."""
    path = settings.run_dir / f"{settings.process}.metrics"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{host}:{port}\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
