"""The `dacl` command: parse, call the library, print."""
