"""Compiles every module for the Python that runs this: bytecode.py BUILDROOT FOLDER

FOLDER is the path once installed, which tracebacks then show. The sources' times go into the
bytecode, so they must be final. PYTHONHASHSEED must be set: the order of a set in it hangs on that.
"""

import py_compile
import sys
from pathlib import Path


def main() -> None:
    """Compile in order, each file on its own; a module that does not compile fails the build."""
    buildroot, folder = sys.argv[1:]
    # py_compile would choose hashes by itself under SOURCE_DATE_EPOCH; 3.6 knows times alone.
    modes = getattr(py_compile, "PycInvalidationMode", None)
    options = {"invalidation_mode": modes.TIMESTAMP} if modes else {}
    count = 0
    for path in sorted(Path(buildroot + folder).rglob("*.py")):
        py_compile.compile(str(path), dfile=str(path)[len(buildroot) :], doraise=True, **options)
        count += 1
    print(f"bytecode: {count} modules for Python {sys.version_info[0]}.{sys.version_info[1]}")


if __name__ == "__main__":
    main()
