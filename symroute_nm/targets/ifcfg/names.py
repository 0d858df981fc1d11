"""The names of route and rule files: ``route-``, ``route6-``, ``rule-`` and ``rule6-PROFILE``."""

import re
from itertools import product
from typing import Iterable, List, NamedTuple, Optional

from symroute_nm.model.network import VERSIONS
from symroute_nm.model.places import NETWORK_SCRIPTS

ROUTE, RULE = KINDS = ("route", "rule")
LONGEST_PROFILE = 255 - len("route6-")  # NAME_MAX
_SUFFIX = {4: "", 6: "6"}
_NAME = re.compile(r"(route|rule)(6?)-(.+)", re.DOTALL)


class RouteFileName(NamedTuple):
    """What the name of a route or rule file says; `kind` is ROUTE or RULE."""

    kind: str
    version: int
    profile: str


def parse_path(path: str) -> Optional[RouteFileName]:
    """What the last part of a path says; None for other files."""
    name = _NAME.fullmatch(path.rpartition("/")[2])
    if name is None:
        return None
    kind, six, profile = name.groups()
    return RouteFileName(kind, 6 if six else 4, profile)


def profile_of(path: str) -> str:
    """The profile that a route or rule file is named after; "" for other files."""
    name = parse_path(path)
    return name.profile if name else ""


def is_kind(path: str, kind: str) -> bool:
    """Whether a path is that of a file of that kind, ROUTE or RULE."""
    name = parse_path(path)
    return name is not None and name.kind == kind


def path_of(kind: str, version: int, profile: str) -> str:
    """The absolute path of a profile's file on the host."""
    return f"{NETWORK_SCRIPTS}/{kind}{_SUFFIX[version]}-{profile}"


def paths_of(kind: str, profiles: Iterable[str]) -> List[str]:
    """The paths of both families' files of that kind, sorted."""
    return sorted(path_of(kind, version, name) for version, name in product(VERSIONS, profiles))
