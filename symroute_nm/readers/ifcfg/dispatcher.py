"""Who applies route and rule files: NetworkManager's dispatcher script, or network.service."""

import stat
from itertools import product
from pathlib import Path

from symroute_nm.files.access import Tree
from symroute_nm.model.places import ROUTES_SCRIPT

_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
# pre-up.d first: NetworkManager runs only what stands there in that state (NetworkManager(8)).
_SCRIPT_FOLDERS = tuple(
    f"{base}/NetworkManager/dispatcher.d/{folder}"
    for folder, base in product(("pre-up.d", "", "no-wait.d"), ("etc", "usr/lib"))
)
_NETWORK_SERVICE = (
    "etc/systemd/system/multi-user.target.wants/network.service",
    "etc/rc.d/rc3.d/S10network",
    "etc/rc3.d/S10network",
)
_UNIT = "NetworkManager-dispatcher.service"
# org.freedesktop.nm_dispatcher.service: by this alias D-Bus has systemd start the dispatcher.
_ALIAS = "dbus-org.freedesktop.nm-dispatcher.service"
_ADMIN_UNITS = ("etc/systemd/system", "run/systemd/system")
_VENDOR_UNITS = ("usr/lib/systemd/system", "lib/systemd/system")


def find_dispatcher(root: Path) -> str:
    """The absolute path of the dispatcher script, the one for pre-up first; "" if there is none."""
    with Tree(root) as tree:
        for folder in _SCRIPT_FOLDERS:
            path = f"{folder.rstrip('/')}/{ROUTES_SCRIPT}"
            mode = tree.mode(path)
            if stat.S_ISREG(mode) and mode & _EXECUTABLE:
                return "/" + path
    return ""


def has_network_service(root: Path) -> bool:
    """Whether initscripts' network.service is enabled, which applies the same files."""
    with Tree(root) as tree:
        return any(tree.has(path) for path in _NETWORK_SERVICE)


def find_service_fault(tree: Tree) -> str:
    """What keeps systemd from starting the dispatcher: ``masked``, ``disabled`` or ""."""
    units = [f"{folder}/{name}" for folder, name in product(_ADMIN_UNITS, (_UNIT, _ALIAS))]
    if any(_is_masked(tree, unit) for unit in units):
        return "masked"
    shipped = any(tree.mode(f"{folder}/{_UNIT}") for folder in _VENDOR_UNITS)
    # What the link leads to may be missing in a tree: that it is there must do.
    enabled = any(tree.has(f"{folder}/{_ALIAS}") for folder in _ADMIN_UNITS + _VENDOR_UNITS)
    return "disabled" if shipped and not enabled else ""


def _is_masked(tree: Tree, unit: str) -> bool:
    """systemd.unit(5): a unit that is empty or a link to /dev/null cannot be started."""
    target = tree.points_to(unit)
    if target is not None:
        return target == "/dev/null"
    status = tree.status(unit)
    return status is not None and stat.S_ISREG(status.st_mode) and status.st_size == 0
