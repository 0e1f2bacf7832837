"""What can go wrong around the local stack, told to the person who started it."""


class StackError(Exception):
    """The message names what is wrong and what to do next; it is shown as it is, without a traceback."""


class DaemonDiedError(StackError):
    """A process ended while it was waited for. The message holds the end of its log."""
