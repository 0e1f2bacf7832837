"""The pages below /ops: what waits and why for people, and what operators do to dead letters."""
