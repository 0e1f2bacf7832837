"""Shared by all tests: a busy machine must not fail a property."""

from hypothesis import settings

# Time is measured by bench/, never asserted by a test.
settings.register_profile("thorough", deadline=None)
# For the fast loop: `--hypothesis-profile=quick`.
settings.register_profile("quick", deadline=None, max_examples=15)
settings.load_profile("thorough")
