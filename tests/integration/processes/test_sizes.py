"""A process whose profile is not that of the topics says so in one line, ends, and leaves no trace."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.deployment import Deployment
from infra.local.stack import Stack
from streams.kafka.offsets.offsets import Offsets
from tests.integration.conftest import deployments
from tests.integration.processes.log_lines import sentence_of
from topics.catalogue import CATALOGUE
from topics.sizes import Profile

ENDS_S_MAX = 60.0
FOLLOW = ["publish", "user.followed", "--follower", "1", "--followee", "2"]


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> Iterator[Deployment]:
    """One for all, because none of the processes writes anything."""
    with deployments(stack) as make:
        yield make()


def records(deployment: Deployment) -> dict[str, int]:
    """The number of records of every topic of events."""

    async def count() -> dict[str, int]:
        offsets, counts = Offsets(deployment.settings), {}
        for topic in CATALOGUE.values():
            name = topic.named(deployment.namespace)
            ends = await offsets.ends([(name, at) for at in range(deployment.sizes.partitions(topic))])
            counts[topic.name] = sum(ends.values())
        return counts

    return asyncio.run(count())


@pytest.mark.parametrize(
    "command",
    [["worker"], ["worker", "--media"], ["api"], ["api", "--processes", "2"], ["load"], FOLLOW, ["topics"]],
    ids=lambda command: " ".join(command[:2]),
)
def test_topics_of_another_profile_end_a_process(
    deployment: Deployment, command: list[str], tmp_path: Path
) -> None:
    """Exit code 1; each topic that differs is named with both numbers; no record of any topic."""
    if command == ["load"]:
        command = [*command, str(tmp_path / "edges.tsv")]
        Path(command[-1]).write_text("1\t2\n")

    ended = subprocess.run(
        [sys.executable, "-m", "shutterline", *command],
        env={
            **os.environ,
            **deployment.environment,
            "SHUTTERLINE_SIZES": Profile.SMALL.value,
            "SHUTTERLINE_RUN_DIR": str(tmp_path),
            "SHUTTERLINE_PROCESS": "mismatched",
        },
        capture_output=True,
        text=True,
        timeout=ENDS_S_MAX,
        check=False,
    )

    assert ended.returncode == 1
    # Each of the two processes says it; the command that waits for them says that one has ended.
    said = {sentence_of(line) for line in ended.stderr.splitlines()}
    [sentence] = {sentence for sentence in said if "partitions" in sentence}
    for name, there, wanted in (("edges", 8, 24), ("fanout", 8, 16), ("renditions", 6, 24)):
        topic = f"{deployment.namespace}{name}"
        assert f'topic {topic} has {there} partitions, the profile "small" says {wanted}' in sentence
    assert "Traceback" not in ended.stderr
    assert '"exception"' not in ended.stderr
    assert records(deployment) == dict.fromkeys(CATALOGUE, 0)
