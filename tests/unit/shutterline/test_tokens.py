"""Where the commands get their tokens from."""

from pathlib import Path

import jwt
import pytest
from pydantic import SecretStr

from schemas.ids import UserId
from shutterline.failures import CommandFailed
from shutterline.tokens import token_source
from streams.settings import TokenSettings

SECRET = "a secret of more than thirty-two bytes"


def test_a_token_file_is_read_each_time_because_tokens_expire(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = token_source(TokenSettings(), UserId(7), file)
    tokens = []
    for text in ("first\n", "second\n"):
        file.write_text(text)
        tokens.append(token())

    assert ["first", "second"] == tokens


def test_without_a_file_a_local_token_is_made() -> None:
    token = token_source(TokenSettings(jwt_secret=SecretStr(SECRET)), UserId(7), None)()

    assert "7" == jwt.decode(token, SECRET, algorithms=["HS256"])["sub"]


def test_without_a_file_and_a_secret_it_says_so() -> None:
    with pytest.raises(CommandFailed, match="SHUTTERLINE_JWT_SECRET"):
        token_source(TokenSettings(jwt_secret=SecretStr("")), UserId(7), None)()
