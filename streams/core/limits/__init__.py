"""Pure decisions about limits: what is refused, and for how long."""
