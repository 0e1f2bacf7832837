"""The command line, and the clients of the HTTP API that it uses."""
