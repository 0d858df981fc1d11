"""Which firewall a root has, and whether firewalld filters by reverse path."""

import re
import stat
from pathlib import Path
from typing import Tuple

from symroute_nm.errors import SymrouteError
from symroute_nm.files import access
from symroute_nm.files.access import Tree

_PROGRAM_FOLDERS = ("usr/sbin", "sbin", "usr/bin", "bin")
_FIREWALLD = "etc/systemd/system/multi-user.target.wants/firewalld.service"
_FIREWALLD_CONF = "etc/firewalld/firewalld.conf"
_RPFILTER = r"^[ \t]*IPv6_rpfilter[ \t]*=[ \t]*(\S+)"
_RPFILTER_DEFAULT = "yes"  # firewalld.conf(5)


def find_firewalls(root: Path) -> Tuple[str, ...]:
    """What marks can be set by: nft and iptables where installed, firewalld where enabled."""
    with Tree(root) as tree:
        firewalls = [
            name
            for name in ("nft", "iptables")
            if any(stat.S_ISREG(tree.mode(f"{folder}/{name}")) for folder in _PROGRAM_FOLDERS)
        ]
        if tree.has(_FIREWALLD):
            firewalls.append("firewalld")
    return tuple(firewalls)


def read_ipv6_rpfilter(tree: Tree) -> str:
    """firewalld.conf's IPv6_rpfilter in lower case; "" where firewalld is not enabled."""
    if not tree.has(_FIREWALLD):
        return ""
    try:
        text = access.read_below(tree, _FIREWALLD_CONF).decode("utf-8", "replace")
    except SymrouteError:
        return _RPFILTER_DEFAULT
    values = re.findall(_RPFILTER, text, re.MULTILINE)
    return values[-1].lower() if values else _RPFILTER_DEFAULT
