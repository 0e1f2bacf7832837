"""What a command says when a server is not there."""

import pytest

from shutterline import failures
from shutterline.failures import CommandFailed, require


async def test_no_message_has_the_password_of_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are shown to others, and logged."""

    async def responds(_: str) -> bool:
        return False

    monkeypatch.setattr(failures, "_responds", responds)

    with pytest.raises(
        CommandFailed, match="No answer from redis at one:1,two:2/0 and kafka at three:3"
    ) as failed:
        await require(redis="rediss://user:a%40b@one:1,two:2/0", kafka="three:3")
    assert "user" not in str(failed.value)
