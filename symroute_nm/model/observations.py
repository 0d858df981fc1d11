"""What no plan depends on but a diagnosis does; a part of `Host`."""

from typing import NamedTuple, Tuple

from symroute_nm.model.network import IPAddress, IPNetwork


class ConfigFile(NamedTuple):
    """A file below the root: absolute path as the host sees it, and its text."""

    path: str
    text: str


def config_file(path: str, content: bytes) -> ConfigFile:
    """A file of these bytes, which `blocks` gets back the same, whatever they are."""
    return ConfigFile(path, content.decode("utf-8", "surrogateescape"))


class Arp(NamedTuple):
    """How a link goes about ARP: the sysctls net.ipv4.conf.*.arp_* as they are in effect."""

    link: str
    ignore: int = 0
    announce: int = 0
    filter: int = 0


class Published(NamedTuple):
    """A DNAT of the host's firewall; ports as it writes them ("80", "8000:8010"), "" for all."""

    target: IPAddress
    target_port: str = ""
    protocol: str = ""  # tcp udp …; "" for all
    port: str = ""
    # The addresses that it is asked at; empty: all.
    at: Tuple[IPNetwork, ...] = ()


RULE_FILES, PUBLISHED_PORTS = "rule files", "published ports"  # the subjects of `Unread`


class Unread(NamedTuple):
    """Something that could not be looked at, and why; `subject` is a constant above."""

    subject: str
    reason: str


class Observations(NamedTuple):
    """All of it, as it was read; `has_read` says whether a subject was read in full."""

    files: Tuple[ConfigFile, ...] = ()  # that hold routes and rules
    dispatcher_service: str = ""  # masked disabled; "" where nothing keeps it from being started
    ipv6_rpfilter: str = ""  # IPv6_rpfilter of firewalld.conf; "" where firewalld is not enabled
    arp: Tuple[Arp, ...] = ()
    published: Tuple[Published, ...] = ()
    masqueraded: Tuple[IPNetwork, ...] = ()  # whose own addresses stay inside
    marked: Tuple[str, ...] = ()  # links whose connections get a mark of ours
    unread: Tuple[Unread, ...] = ()
    damaged_tables: Tuple[str, ...] = ()  # sentences on rt_tables files that iproute2 stops in

    def has_read(self, subject: str) -> bool:
        """Whether nothing of that subject of `Unread` was left out."""
        return all(omission.subject != subject for omission in self.unread)
