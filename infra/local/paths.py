"""Where the files of a local stack are."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
TEMPLATES = Path(__file__).resolve().parent
# For folders that only their owner can enter.
PRIVATE_MODE = 0o700


@dataclass(frozen=True)
class Home:
    """The folder of one stack; several stacks run side by side, each in its own."""

    root: Path

    def make_private(self) -> None:
        """Make its folders, so that only their owner can enter them; see `private_folder`."""
        for folder in (self.root, self.run, self.log, self.conf, self.data, self.secrets):
            private_folder(folder)

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


def private_folder(folder: Path) -> None:
    """Make the folder if it is missing, so that only its owner can enter it; an existing one is repaired."""
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_MODE)
    if stat.S_IMODE(folder.stat().st_mode) != PRIVATE_MODE:
        folder.chmod(PRIVATE_MODE)
