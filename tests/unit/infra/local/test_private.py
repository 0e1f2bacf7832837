"""The files of a local stack are for their owner alone."""

import os
import stat
from pathlib import Path

import pytest

from bench.traffic.waiting import wait_until
from infra.local.credentials import load_or_make
from infra.local.paths import PROJECT, Home, private_folder
from infra.local.processes.daemon import Daemon
from infra.local.servers.s3 import make_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "stack")


def test_what_a_process_writes_is_for_its_owner(home: Home) -> None:
    """Whatever the umask of the shell that started it: objects, messages and logs hold private data."""
    daemon = Daemon("writer", home)
    written = home.root / "written"

    before = os.umask(0o022)
    try:
        daemon.spawn(
            ["sh", "-c", f"mkdir {written}.d; echo > {written}; exec sleep 600"], os.environ, PROJECT
        )
        wait_until("it has written", lambda: written.exists())
    finally:
        os.umask(before)
        daemon.stop()

    assert [mode(path) for path in (written, written.with_suffix(".d"), daemon.log_file)] == [
        0o600,
        0o700,
        0o600,
    ]


def test_folders_of_an_earlier_version_are_repaired(home: Home) -> None:
    """They were made with mode 0755."""
    folders = [home.root, home.run, home.log, home.conf, home.data, home.secrets]
    for folder in folders:
        folder.mkdir()
        folder.chmod(0o755)

    home.make_private()
    load_or_make(home.secrets)

    assert {mode(folder) for folder in folders} == {0o700}


def test_an_open_bucket_is_closed_with_all_that_is_in_it(tmp_path: Path) -> None:
    """The store reads the mode of a file as its ACL, so a published object has to be closed, too."""
    bucket = tmp_path / "bucket"
    (bucket / "a").mkdir(parents=True)
    (bucket / "a" / "photo").write_bytes(b"1")
    for path in (bucket, bucket / "a"):
        path.chmod(0o755)
    (bucket / "a" / "photo").chmod(0o644)

    make_private(bucket)

    assert [mode(path) for path in (bucket, bucket / "a", bucket / "a" / "photo")] == [0o700, 0o700, 0o600]


def test_a_closed_bucket_is_not_walked_again(tmp_path: Path) -> None:
    """A bucket can have a million files, and a start should not touch them all."""
    bucket = tmp_path / "bucket"
    private_folder(bucket)
    (bucket / "photo").write_bytes(b"1")
    (bucket / "photo").chmod(0o640)

    make_private(bucket)

    assert mode(bucket / "photo") == 0o640
