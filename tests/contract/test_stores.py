"""The in-memory twins do what the ports promise."""

from tests.contract.suites.every_suite import *  # noqa: F403  # The list of the suites is there.
