"""A stack whose stores ask for a password and speak TLS: what it has beyond the ordinary one."""
