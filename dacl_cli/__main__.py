"""`python -m dacl_cli` is `dacl`."""

from dacl_cli.app import main

if __name__ == "__main__":
    raise SystemExit(main())
