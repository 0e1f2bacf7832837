"""How many posts of a deployment are deferred and not published yet, as Cassandra has them."""

from cassandra import DriverException, InvalidRequest
from cassandra.cluster import Cluster, NoHostAvailable, Session

from streams.errors import StoreUnavailable
from streams.settings import StoreSettings
from streams.stores.cassandra.session import STORE, make_cluster

ANSWER_S_MAX = 10.0


class DeferredCount:
    """One session, opened when it is first asked; blocks its thread."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._cluster: Cluster | None = None
        self._session: Session | None = None

    def read(self) -> int:
        """Return how many there are.

        Raises:
            StoreUnavailable: Cassandra does not answer.
        """
        try:
            if self._session is None:
                self._cluster = make_cluster(self._settings, timeout_s=ANSWER_S_MAX)
                self._cluster.schema_metadata_enabled = False  # It would be read for each deployment.
                self._session = self._cluster.connect(self._settings.keyspace)
            rows = self._session.execute("SELECT is_sent FROM deferred_posts")
        except InvalidRequest:
            return 0  # A checkout that is compared with this one may not have the table.
        except (DriverException, NoHostAvailable) as error:
            self.close()
            raise StoreUnavailable(STORE, "deferred posts", str(error)) from error
        return sum(not is_sent for (is_sent,) in rows)

    def close(self) -> None:
        """Close the session; `read` opens another one."""
        if self._cluster is not None:
            self._cluster.shutdown()
        self._cluster = self._session = None
