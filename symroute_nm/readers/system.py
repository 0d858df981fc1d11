"""What the files below a root say of the host: table names, and who applies rule files."""

import stat
from pathlib import Path
from typing import Tuple

from symroute_nm.files.access import Tree

SCRIPT = "10-ifcfg-rh-routes.sh"
_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
# pre-up.d first: NetworkManager runs only what stands there in that state (NetworkManager(8)).
_SCRIPT_FOLDERS = tuple(
    f"{base}/NetworkManager/dispatcher.d/{folder}"
    for folder in ("pre-up.d", "", "no-wait.d")
    for base in ("etc", "usr/lib")
)
_PROGRAM_FOLDERS = ("usr/sbin", "sbin", "usr/bin", "bin")
_FIREWALLD = "etc/systemd/system/multi-user.target.wants/firewalld.service"
_NETWORK_SERVICE = (
    "etc/systemd/system/multi-user.target.wants/network.service",
    "etc/rc.d/rc3.d/S10network",
    "etc/rc3.d/S10network",
)


def find_dispatcher(root: Path) -> str:
    """The absolute path of the dispatcher script, the one for pre-up first; "" if there is none."""
    with Tree(root) as tree:
        for folder in _SCRIPT_FOLDERS:
            path = f"{folder.rstrip('/')}/{SCRIPT}"
            mode = tree.mode(path)
            if stat.S_ISREG(mode) and mode & _EXECUTABLE:
                return "/" + path
    return ""


def has_network_service(root: Path) -> bool:
    """Whether initscripts' network.service is enabled, which applies the same files."""
    with Tree(root) as tree:
        return any(tree.has(path) for path in _NETWORK_SERVICE)


def find_firewalls(root: Path) -> Tuple[str, ...]:
    """What marks can be set by: nft and iptables where installed, firewalld where enabled."""
    with Tree(root) as tree:
        found = [
            name
            for name in ("nft", "iptables")
            if any(stat.S_ISREG(tree.mode(f"{folder}/{name}")) for folder in _PROGRAM_FOLDERS)
        ]
        if tree.has(_FIREWALLD):
            found.append("firewalld")
    return tuple(found)
