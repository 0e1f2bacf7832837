"""The error of a store. The error of an event is `schemas.envelope.PoisonEvent`."""


class StoreUnavailable(Exception):
    """A store did not confirm an operation: no reply, a failure, a refusal, or an open breaker.

    The operation may have been executed or not. An event whose handler raises this error waits and
    is handled again; it is never put on a dead-letter topic, and its offset is not committed before
    that.
    """

    def __init__(self, store: str, operation: str, cause: str) -> None:
        super().__init__(f"{store} did not answer {operation}: {cause}")
        self.store = store
        self.operation = operation
