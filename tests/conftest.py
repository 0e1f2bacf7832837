"""Shared by all tests: a busy machine must not fail a property."""

from hypothesis import settings

# Time is measured by bench/, never asserted by a test.
settings.register_profile("shutterline", deadline=None)
settings.load_profile("shutterline")
