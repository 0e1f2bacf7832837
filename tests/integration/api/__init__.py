"""The HTTP API as its clients meet it."""
