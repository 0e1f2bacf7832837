"""Apply the numbered statements of `cassandra/`, each once, and refuse those that have changed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cassandra.cluster import Session

from streams.settings import Settings

FOLDER = Path(__file__).parents[3] / "cassandra"
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.cql")


class MigrationRefused(Exception):
    """The statements here and those that were applied do not go together."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One statement; `checksum` is the SHA-256 of the file."""

    version: int
    name: str
    statement: str
    checksum: str


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """All migrations in order.

    Raises:
        MigrationRefused: A file is named otherwise, or a number is missing or stands twice.
    """
    found = []
    for path in sorted(folder.glob("*.cql")):
        named = _NAME.fullmatch(path.name)
        if named is None:
            raise MigrationRefused(f"{path.name}: name it like 0014_what_it_makes.cql")
        text = path.read_text()
        found.append(
            Migration(int(named[1]), named[2], text.strip().rstrip(";"), sha256(text.encode()).hexdigest())
        )
    numbers = [migration.version for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationRefused(f"numbered {numbers}; they must go from 1 without a gap")
    return found


def to_apply(migrations: Sequence[Migration], applied: dict[int, str]) -> list[Migration]:
    """Those that are not applied yet, given the checksums of those that are.

    Raises:
        MigrationRefused: An applied one has changed, or is not here.
    """
    here = {migration.version: migration for migration in migrations}
    for version, checksum in applied.items():
        migration = here.get(version)
        if migration is None:
            raise MigrationRefused(f"migration {version:04} is applied but not in this version of the code")
        if migration.checksum != checksum:
            raise MigrationRefused(
                f"{version:04}_{migration.name}.cql has changed since it was applied "
                f"({checksum[:12]} then, {migration.checksum[:12]} now); write a new one instead"
            )
    return [migration for migration in migrations if migration.version not in applied]


def migrate(session: Session, settings: Settings) -> list[Migration]:
    """Bring the keyspace up to date; answers what was applied. Safe to run twice, also at once.

    Raises:
        MigrationRefused: See `to_apply`; nothing has been applied then.
    """
    keyspace = settings.keyspace
    session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy',"
        f" '{settings.cassandra_datacenter}': {settings.cassandra_replication}}}"
    )
    session.set_keyspace(keyspace)
    session.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (version int PRIMARY KEY, name text, checksum text, applied_at timestamp)"
    )
    applied = dict(session.execute("SELECT version, checksum FROM schema_migrations"))
    pending = to_apply(read_migrations(), applied)
    for migration in pending:
        session.execute(migration.statement)
        session.execute(
            "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (%s, %s, %s, %s)",
            (migration.version, migration.name, migration.checksum, datetime.now(UTC)),
        )
    return pending
