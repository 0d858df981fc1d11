"""Importing less than a whole package, and without starting programs.

Submodules of large packages come without the package's init, which loads far more than is used.
"""

import contextlib
import importlib.util
import os
import sys
import types
from typing import Any, Iterator, NamedTuple


class _Uname(NamedTuple):
    """`platform.uname_result`, which of Python 3.9 and later starts ``uname`` when iterated."""

    system: str
    node: str
    release: str
    version: str
    machine: str
    processor: str = ""


@contextlib.contextmanager
def quiet_platform() -> Iterator[None]:
    """Within, `platform` answers from uname(2) alone and starts no program.

    Before Python 3.9 `platform.uname` has a shell look for ``uname`` along PATH, later its
    result does so itself; `platform.architecture` looks for ``file``. When it is imported,
    pyroute2.config (up to 0.9.6) asks for both, rich for the first. All else in
    `platform` asks those two functions.
    """
    import platform
    import struct

    known = _Uname(*os.uname())
    before = platform.uname, platform.architecture
    bits = f"{8 * struct.calcsize('P')}bit"
    answers: Any = platform
    answers.uname = lambda: known
    answers.architecture = lambda *_, **__: (bits, "ELF")
    try:
        yield
    finally:
        platform.uname, platform.architecture = before


def import_uuid() -> None:
    """Import `uuid`, which typer needs, without starting programs.

    Python 3.6's looks for a library with ``ldconfig``, and with ``gcc`` and ``ld`` along PATH.
    Without ctypes it does without that library.
    """
    if "uuid" in sys.modules or "ctypes" in sys.modules:
        return
    sys.modules["ctypes"] = None  # type: ignore[assignment]  # importlib: not to be found
    try:
        importlib.import_module("uuid")
    finally:
        del sys.modules["ctypes"]


def import_submodule(module: str) -> types.ModuleType:
    """The submodule ``PACKAGE.NAME``, imported below a bare stand-in for its package.

    Whoever imports the package afterwards gets the real one, with this submodule in it.
    """
    if module in sys.modules:
        return sys.modules[module]
    package = module.partition(".")[0]
    spec = None if package in sys.modules else importlib.util.find_spec(package)
    if spec and spec.submodule_search_locations:
        stand_in = types.ModuleType(package)
        stand_in.__path__ = list(spec.submodule_search_locations)
        sys.modules[package] = stand_in
    try:
        return importlib.import_module(module)
    finally:
        if spec:
            sys.modules.pop(package, None)
