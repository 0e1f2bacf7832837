"""The error of a store. The error of an event is `schemas.envelope.PoisonEvent`."""


class StoreMisconfigured(Exception):
    """A store can never accept this process with its settings, so waiting does not help.

    Raised only while a process or a command connects. The message names the setting, the rule and what
    to do next, and no secret.
    """

    @classmethod
    def of_login(cls, store: str, address: str, user: str, settings: str) -> "StoreMisconfigured":
        """The store refuses the login; `user` is empty if there was none. `settings` are those to correct."""
        who = f"the user {user!r}: the name or the password is wrong" if user else "clients without a user"
        return cls(f"{store} at {address} refuses {who}. Correct {settings}, then start again.")


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
