"""The local stack: real servers as child processes of nobody, on the loopback interface alone."""
