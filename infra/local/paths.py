"""Where the files of a local stack are."""

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
TEMPLATES = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Home:
    """The folder of one stack; several stacks run side by side, each in its own."""

    root: Path

    @property
    def run(self) -> Path:
        """Pid files, and the addresses where processes publish their metrics."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def conf(self) -> Path:
        """Configuration, which every start rewrites."""
        return self.root / "conf"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def ports_file(self) -> Path:
        return self.root / "ports.json"

    @property
    def environment_file(self) -> Path:
        return self.root / "shutterline.env"

    @property
    def lock_file(self) -> Path:
        return self.root / "lock"


def project_home() -> Home:
    """The stack of `make up`."""
    return Home(PROJECT / ".local")


def shared_library() -> Path:
    """The servers' jars, one folder for all stacks of a checkout; SHUTTERLINE_LIB names one for several."""
    given = os.environ.get("SHUTTERLINE_LIB")
    return Path(given).resolve() if given else PROJECT / ".local" / "lib"
