"""One server process: what it is made of, how it listens, how it stops."""
