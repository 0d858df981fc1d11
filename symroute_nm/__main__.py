"""The command, and `python -m symroute_nm`: begins and ends the process in no time."""

import gc

# A run allocates little besides modules, which stay: collecting at every 700 objects, as is usual,
# takes a tenth of its time and frees next to nothing.
_OBJECTS_BETWEEN_COLLECTIONS = 50000


def main() -> None:
    """Run a command, and exit without taking the interpreter to pieces first; the entry point."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    from symroute_nm import cli

    try:
        cli.main()
    except SystemExit as end:
        cli.leave(end.code if isinstance(end.code, int) else 0)


if __name__ == "__main__":
    main()
