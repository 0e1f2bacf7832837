"""The local stack's secrets: random, made once, readable by the owner of the files alone."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.local import media_keys
from infra.local.media_keys import MediaKey
from infra.local.paths import private_folder


@dataclass(frozen=True)
class Credentials:
    """The secrets that servers are configured with and that programs authenticate with."""

    s3_access_key: str
    s3_secret_key: str
    # The shield's key, which can only read.
    s3_read_access_key: str
    s3_read_secret_key: str
    # The key of the store behind the gate of S3, which only the gate uses.
    s3_store_access_key: str
    s3_store_secret_key: str
    jwt_secret: str
    # The secret with which CDN edges, the shield and our programs authenticate to each other.
    edge_secret: str
    # Newest first: the first one signs, all are trusted.
    media_keys: tuple[MediaKey, ...]


def load_or_make(folder: Path) -> Credentials:
    """The secrets in `folder`; those that are missing are made and stored."""
    private_folder(folder)
    return Credentials(
        s3_access_key=_stored(folder / "s3-access-key", lambda: f"local{secrets.token_hex(8)}"),
        s3_secret_key=_stored(folder / "s3-secret-key", lambda: secrets.token_hex(20)),
        s3_read_access_key=_stored(folder / "s3-read-access-key", lambda: f"read{secrets.token_hex(8)}"),
        s3_read_secret_key=_stored(folder / "s3-read-secret-key", lambda: secrets.token_hex(20)),
        s3_store_access_key=_stored(folder / "s3-store-access-key", lambda: f"store{secrets.token_hex(8)}"),
        s3_store_secret_key=_stored(folder / "s3-store-secret-key", lambda: secrets.token_hex(20)),
        jwt_secret=_stored(folder / "jwt-secret", lambda: secrets.token_hex(32)),
        edge_secret=_stored(folder / "edge-secret", lambda: secrets.token_hex(32)),
        media_keys=media_keys.load_or_make(folder),
    )


# Whom the programs log in as at Kafka, Cassandra and Redis of a secured stack, and brokers at each other.
USER, BROKER = "shutterline", "broker"


@dataclass(frozen=True)
class Logins:
    """The passwords of a secured stack."""

    kafka_password: str
    kafka_broker_password: str
    cassandra_password: str
    cassandra_admin_password: str
    redis_password: str


def load_or_make_logins(folder: Path) -> Logins:
    """The passwords in `folder`; those that are missing are made and stored."""
    private_folder(folder)

    def password(name: str) -> str:
        return _stored(folder / name, lambda: secrets.token_hex(20))

    return Logins(
        kafka_password=password("kafka-password"),
        kafka_broker_password=password("kafka-broker-password"),
        cassandra_password=password("cassandra-password"),
        cassandra_admin_password=password("cassandra-admin-password"),
        redis_password=password("redis-password"),
    )


def _stored(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(make())
        draft.replace(path)
    return path.read_text()
