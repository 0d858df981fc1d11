"""Marks on connections: by which uplink they came in, by what that is set, and in which files."""

from typing import NamedTuple, Tuple

# NetworkManager-dispatcher(8): what acts on pre-up stands in this folder; it need be nowhere else.
SCRIPT = "/etc/NetworkManager/dispatcher.d/pre-up.d/90-symroute-nm"
SYSCTL = "/etc/sysctl.d/90-symroute-nm.conf"
DIRECT = "/etc/firewalld/direct.xml"
MARKING_FILES = (SCRIPT, SYSCTL, DIRECT)

# nftables' table (family inet) and iptables' chains (table mangle) of our own.
NAME = "symroute_nm"
PARENTS = ("PREROUTING", "PREROUTING_direct")  # ours, and firewalld's for direct.xml
PROGRAMS = ("iptables", "ip6tables")


class Mark(NamedTuple):
    """The mark of the connections that begin at one uplink; `value` stands under the mask."""

    link: str
    value: int


class Marking(NamedTuple):
    """The marks of all uplinks, and by what they are set."""

    backend: str  # nft iptables firewalld (iptables' rules in its direct.xml)
    mask: int
    marks: Tuple[Mark, ...]

    @property
    def program(self) -> str:
        """``nft``, or ``iptables`` (whose rules firewalld may be the one to set)."""
        return "nft" if self.backend == "nft" else "iptables"


class Setting(NamedTuple):
    """One rule of ours, which marks connections from a link.

    Without a link it marks the packets of a marked connection.
    """

    link: str
    value: int
    mask: int


def planned_rules(marking: Marking) -> Tuple[Setting, ...]:
    """The rules of a marking, in order."""
    return (
        *(Setting(mark.link, mark.value, marking.mask) for mark in marking.marks),
        *(Setting("", mark.value, marking.mask) for mark in marking.marks),
    )
