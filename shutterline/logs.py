"""What the long-running commands log, and where."""

import logging


def log_to_stderr() -> None:
    """One line a message, with its time; our packages from INFO on, libraries from WARNING on."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("streams").setLevel(logging.INFO)
    logging.getLogger("api").setLevel(logging.INFO)
    # The driver warns about USE at every start. We set the keyspace once, in connect().
    logging.getLogger("cassandra.protocol").setLevel(logging.ERROR)
    # At INFO this module logs a line for the supervisor of each agent.
    logging.getLogger("streams.kafka.consuming.app").setLevel(logging.WARNING)
