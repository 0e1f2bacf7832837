"""Apply the numbered statements of `cassandra/`, each once; refuse a statement that was changed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from cassandra import InvalidRequest, OperationTimedOut
from cassandra.cluster import NoHostAvailable, Session
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_fixed,
    wait_random_exponential,
)

from streams.settings import CassandraSettings

FOLDER = Path(__file__).parents[3] / "cassandra"
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.cql")

# A change of the schema takes seconds on a busy node. Meanwhile the driver may give up on its connections.
TRIES_MAX, WAIT_S_MAX = 5, 5.0
AGREEMENT_S_MAX, LOOK_S = 60.0, 0.05
# The text of the error of `ALTER TABLE … ADD`; the driver has no class for it.
_IS_THERE = "already exists"


class MigrationRefused(Exception):
    """The migrations of this version of the code do not match those that were applied."""


class SchemaDisagreement(Exception):
    """After a statement the nodes had different schemas for too long. Those before it are applied."""


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
        SchemaDisagreement: See there; may be repeated.
    """
    keyspace = settings.keyspace
    # The driver would wait for gossip, a second for each statement, and go on if the nodes did not agree.
    session.cluster.max_schema_agreement_wait = 0
    retrying = Retrying(
        retry=retry_if_exception_type((NoHostAvailable, OperationTimedOut)),
        stop=stop_after_attempt(TRIES_MAX),
        wait=wait_random_exponential(max=WAIT_S_MAX),
        reraise=True,
    )
    execute = retrying.wraps(session.execute)
    agree = retrying.wraps(_agree)
    execute(
        f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy',"
        f" '{settings.cassandra_datacenter}': {settings.cassandra_replication}}}"
    )
    agree(session)
    session.set_keyspace(keyspace)
    execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (version int PRIMARY KEY, name text, checksum text, applied_at timestamp)"
    )
    agree(session)
    applied = dict(execute("SELECT version, checksum FROM schema_migrations"))
    pending = to_apply(read_migrations(), applied)
    for migration in pending:
        try:
            execute(migration.statement)
        except InvalidRequest as error:
            # A process may have died before it noted that the column was added.
            if _IS_THERE not in str(error):
                raise
        agree(session)
        execute(
            "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (%s, %s, %s, %s)",
            (migration.version, migration.name, migration.checksum, datetime.now(UTC)),
        )
    return pending


def _agree(session: Session) -> None:
    """Wait until all nodes with which the session has connections have the same schema."""
    waiting = Retrying(
        retry=retry_if_result(lambda versions: len(set(versions.values())) > 1),
        stop=stop_after_delay(AGREEMENT_S_MAX),
        wait=wait_fixed(LOOK_S),
    )
    try:
        waiting(_schema_versions, session)
    except RetryError as error:
        versions = ", ".join(f"{host} {version}" for host, version in error.last_attempt.result().items())
        raise SchemaDisagreement(
            f"the nodes have had different schemas for {AGREEMENT_S_MAX:g} s: {versions}; look for a node "
            "that is overloaded or cut off (`nodetool describecluster`), then run `shutterline migrate` again"
        ) from error


def _schema_versions(session: Session) -> dict[str, UUID]:
    query = "SELECT schema_version FROM system.local"
    return {
        str(host.endpoint): session.execute(query, host=host).one()[0] for host in session.get_pool_state()
    }
