"""The command line: one module a command, data to stdout, talk to stderr."""
