"""The command, and `python -m symroute_nm`: begins and ends the process in no time."""

import gc
import sys


def main() -> None:
    """Run a command, and exit without taking the interpreter to pieces first; the entry point."""
    # Modules and model values stay to the end and hold no cycles: looking for some takes a tenth of
    # a run, almost half of one on a host with 50 000 routes, and finds nothing.
    gc.disable()
    try:
        from symroute_nm.lazy import import_uuid

        import_uuid()
        from symroute_nm.cli import main as cli_main
    except OSError as error:  # not even a module can be read
        sys.stderr.write(f"symroute-nm: {error.strerror}; see ulimit -n\n")
        sys.exit(4)
    except MemoryError:
        sys.stderr.write("symroute-nm: out of memory; see ulimit -v\n")
        sys.exit(4)

    try:
        cli_main.main()
    except SystemExit as end:
        cli_main.leave(end.code if isinstance(end.code, int) else 0)


if __name__ == "__main__":
    main()
