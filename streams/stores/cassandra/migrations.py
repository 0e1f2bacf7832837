"""Apply the numbered statements of `cassandra/`, each once; refuse a statement that was changed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cassandra import InvalidRequest, OperationTimedOut
from cassandra.cluster import NoHostAvailable, Session
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from streams.settings import CassandraSettings

FOLDER = Path(__file__).parents[3] / "cassandra"
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.cql")

# A change of the schema takes seconds on a busy node. Meanwhile the driver may give up on its connections.
TRIES_MAX, WAIT_S_MAX = 5, 5.0
# The text of the error of `ALTER TABLE … ADD`; the driver has no class for it.
_IS_THERE = "already exists"


class MigrationRefused(Exception):
    """The migrations of this version of the code do not match those that were applied."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One statement; `checksum` is the SHA-256 of the file."""

    version: int
    name: str
    statement: str
    checksum: str


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """Return all migrations in order.

    Raises:
        MigrationRefused: A file has an invalid name, or a number is missing or is used twice.
    """
    migrations = []
    for path in sorted(folder.glob("*.cql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationRefused(f"{path.name}: name it like 0014_what_it_makes.cql")
        text = path.read_text()
        migrations.append(
            Migration(int(match[1]), match[2], text.strip().rstrip(";"), sha256(text.encode()).hexdigest())
        )
    numbers = [migration.version for migration in migrations]
    if numbers != list(range(1, len(migrations) + 1)):
        raise MigrationRefused(f"numbered {numbers}; they must go from 1 without a gap")
    return migrations


def to_apply(migrations: Sequence[Migration], applied: dict[int, str]) -> list[Migration]:
    """Return the migrations that are not applied yet. `applied` has the checksums of the applied ones.

    Raises:
        MigrationRefused: An applied migration has changed, or is missing here.
    """
    by_version = {migration.version: migration for migration in migrations}
    for version, checksum in applied.items():
        migration = by_version.get(version)
        if migration is None:
            raise MigrationRefused(f"migration {version:04} is applied but not in this version of the code")
        if migration.checksum != checksum:
            raise MigrationRefused(
                f"{version:04}_{migration.name}.cql has changed since it was applied "
                f"({checksum[:12]} then, {migration.checksum[:12]} now); write a new one instead"
            )
    return [migration for migration in migrations if migration.version not in applied]


def migrate(session: Session, settings: CassandraSettings) -> list[Migration]:
    """Bring the keyspace up to date; returns the migrations that were applied.

    May be repeated, also by several processes at once, and after it was killed anywhere.

    Raises:
        MigrationRefused: See `to_apply`. Nothing has been applied then.
        NoHostAvailable, OperationTimedOut: Cassandra did not respond to any of `TRIES_MAX` tries.
    """
    keyspace = settings.keyspace
    retrying = Retrying(
        retry=retry_if_exception_type((NoHostAvailable, OperationTimedOut)),
        stop=stop_after_attempt(TRIES_MAX),
        wait=wait_random_exponential(max=WAIT_S_MAX),
        reraise=True,
    )
    execute = retrying.wraps(session.execute)
    execute(
        f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy',"
        f" '{settings.cassandra_datacenter}': {settings.cassandra_replication}}}"
    )
    session.set_keyspace(keyspace)
    execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (version int PRIMARY KEY, name text, checksum text, applied_at timestamp)"
    )
    applied = dict(execute("SELECT version, checksum FROM schema_migrations"))
    pending = to_apply(read_migrations(), applied)
    for migration in pending:
        try:
            execute(migration.statement)
        except InvalidRequest as error:
            # A process may have died before it noted that the column was added.
            if _IS_THERE not in str(error):
                raise
        execute(
            "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (%s, %s, %s, %s)",
            (migration.version, migration.name, migration.checksum, datetime.now(UTC)),
        )
    return pending
