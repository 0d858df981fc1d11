"""Which firewall a root has: nft, iptables, firewalld."""

import stat
from pathlib import Path
from typing import Tuple

from symroute_nm.files.access import Tree

_PROGRAM_FOLDERS = ("usr/sbin", "sbin", "usr/bin", "bin")
_FIREWALLD = "etc/systemd/system/multi-user.target.wants/firewalld.service"


def find_firewalls(root: Path) -> Tuple[str, ...]:
    """What marks can be set by: nft and iptables where installed, firewalld where enabled."""
    with Tree(root) as tree:
        firewalls = [
            name
            for name in ("nft", "iptables")
            if any(stat.S_ISREG(tree.mode(f"{folder}/{name}")) for folder in _PROGRAM_FOLDERS)
        ]
        if has_firewalld(tree):
            firewalls.append("firewalld")
    return tuple(firewalls)


def has_firewalld(tree: Tree) -> bool:
    """Whether firewalld is enabled."""
    return tree.has(_FIREWALLD)
