"""Submodules of large packages without the package's init, which loads far more than is used."""

import importlib
import importlib.util
import sys
import types


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
