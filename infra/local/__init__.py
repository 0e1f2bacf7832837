"""The local stack: real servers as background processes, on the loopback interface only."""
