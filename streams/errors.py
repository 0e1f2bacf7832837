"""What can go wrong with a store; `schemas.envelope.PoisonEvent` is what can be wrong with an event."""


class StoreUnavailable(Exception):
    """A store did not do an operation: no answer in time, a failure, a refusal, or its breaker is open.

    Nothing is known about the operation.

    The fate of an event that meets it is to wait: never a dead letter, never a commit.
    """

    def __init__(self, store: str, operation: str, cause: str) -> None:
        super().__init__(f"{store} did not answer {operation}: {cause}")
        self.store = store
        self.operation = operation
