"""The running kernel -> `Host`: links, addresses, routes, rules and the sysctls that matter."""

import os
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from symroute_nm import kernelroutes, netlink
from symroute_nm.errors import pass_on_exhaustion
from symroute_nm.model.host import Host
from symroute_nm.model.network import ANY, Address, IPNetwork, Link, Rule, parse_network
from symroute_nm.netlink import Message

# linux/if.h, linux/if_addr.h, linux/rtnetlink.h, linux/fib_rules.h
_IFF_UP, _IFF_LOOPBACK, _IFF_LOWER_UP = 0x1, 0x8, 0x10000
_IFA_F_TEMPORARY, _IFA_F_PERMANENT = 0x1, 0x80
_FIB_RULE_INVERT = 0x2
_NONE = 0xFFFFFFFF  # how the kernel says that a suppress_* is not set
_VERSIONS = {2: 4, 10: 6}  # AF_INET, AF_INET6; the others are multicast routing's
ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_MODELLED = {
    "FRA_DST", "FRA_SRC", "FRA_IIFNAME", "FRA_OIFNAME", "FRA_FWMARK", "FRA_FWMASK", "FRA_TABLE",
    "FRA_PRIORITY", "FRA_GOTO", "FRA_SUPPRESS_PREFIXLEN", "FRA_SUPPRESS_IFGROUP", "FRA_L3MDEV",
    "FRA_PROTOCOL", "FRA_PAD", "FRA_UNSPEC",
}
_PROC = Path("/proc/sys/net")


def read_host(probe: bool = True) -> Host:
    """The kernel's part of the host in this network namespace; raises `SystemFailure`.

    `probe`: find out whether the kernel honours suppress_prefixlength where rules do not show it.
    """
    connection = netlink.open_netlink()
    try:
        names, links = _read_links(netlink.dump(connection, netlink.LINKS))
        addresses = _read_addresses(netlink.dump(connection, netlink.ADDRESSES), names)
        routes = kernelroutes.read_routes(connection, names)
        rules = _read_rules(netlink.dump(connection, netlink.RULES))
    finally:
        connection.close()
    return Host(
        links=links,
        addresses=addresses,
        routes=routes,
        rules=rules,
        kernel=os.uname().release,
        suppress=_suppression(rules, probe),
        forwarding=tuple(
            version for version, name in ((4, "ipv4/ip_forward"), (6, "ipv6/conf/all/forwarding"))
            if read_sysctl(name)
        ),
        rp_filter=read_sysctl("ipv4/conf/all/rp_filter"),
    )


def _suppression(rules: Iterable[Rule], probe: bool) -> Optional[bool]:
    if any(each.suppress_prefixlength is not None for each in rules):
        return True
    return netlink.probe_suppression() if probe else None


def _read_links(messages: Iterable[Message]) -> Tuple[Dict[int, str], Tuple[Link, ...]]:
    listed = list(messages)
    names = read_names(listed)
    return names, tuple(sorted((_link(each, names) for each in listed), key=lambda link: link.name))


def read_names(messages: Iterable[Message]) -> Dict[int, str]:
    """The links' names from a dump of links: {ifindex: name}."""
    return {each.fields["index"]: _text(each.attribute("IFLA_IFNAME")) for each in messages}


def _link(message: Message, names: Dict[int, str]) -> Link:
    flags = message.fields["flags"]
    kind, table = _kind(message)
    name = names[message.fields["index"]]
    return Link(
        ifindex=message.fields["index"],
        name=name,
        kind=kind,
        mac=message.attribute("IFLA_ADDRESS") or "",
        permanent_mac=message.attribute("IFLA_PERM_ADDRESS") or "",
        master=names.get(message.attribute("IFLA_MASTER") or 0, ""),
        table=table,
        loopback=bool(flags & _IFF_LOOPBACK),
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_LOWER_UP),
        group=message.attribute("IFLA_GROUP") or 0,
        rp_filter=read_sysctl("ipv4/conf/%s/rp_filter" % name),
    )


def _kind(message: Message) -> Tuple[str, int]:
    linkinfo = message.attribute("IFLA_LINKINFO")
    if linkinfo is None:
        return "", 0
    content: Any = linkinfo.get_attr("IFLA_INFO_DATA")
    table = content.get_attr("IFLA_VRF_TABLE") if hasattr(content, "get_attr") else None
    return linkinfo.get_attr("IFLA_INFO_KIND") or "", table or 0


def _read_addresses(
    messages: Iterable[Message], names: Dict[int, str]
) -> Tuple[Address, ...]:
    found = (_address(each, names) for each in messages if each.fields["family"] in _VERSIONS)
    return tuple(sorted(
        found, key=lambda each: (each.link, each.version, each.interface, str(each.peer))))


def _address(message: Message, names: Dict[int, str]) -> Address:
    far = message.attribute("IFA_ADDRESS")
    own = message.attribute("IFA_LOCAL") or far
    flags = message.attribute("IFA_FLAGS") or message.fields["flags"]
    version = _VERSIONS[message.fields["family"]]
    return Address(
        link=names.get(message.fields["index"], ""),
        interface=ip_interface("%s/%d" % (own, message.fields["prefixlen"])),
        peer=ip_address(far) if far and far != own else None,
        scope=message.fields["scope"],
        dynamic=not flags & _IFA_F_PERMANENT,
        temporary=version == 6 and bool(flags & _IFA_F_TEMPORARY),  # noqa: PLR2004  # IP version
    )


def _read_rules(messages: Iterable[Message]) -> Tuple[Rule, ...]:
    rules = [decode_rule(each) for each in messages if each.fields["family"] in _VERSIONS]
    # Rules of one priority act in the kernel's order, which a stable sort keeps.
    return tuple(sorted(rules, key=lambda each: (each.version, each.priority)))


def decode_rule(message: Message) -> Rule:
    """The rule of a message, with what is not modelled in `opaque`."""
    fields = message.fields
    version = _VERSIONS[fields["family"]]
    mark = message.attribute("FRA_FWMARK") or 0
    mask = message.attribute("FRA_FWMASK")
    return Rule(
        version=version,
        priority=message.attribute("FRA_PRIORITY") or 0,
        source=_selector(version, message.attribute("FRA_SRC"), fields["src_len"]),
        destination=_selector(version, message.attribute("FRA_DST"), fields["dst_len"]),
        iif=_text(message.attribute("FRA_IIFNAME")),
        oif=_text(message.attribute("FRA_OIFNAME")),
        mark=mark,
        mask=mask if mask is not None else (_NONE if mark else 0),
        tos=fields["tos"],
        invert=bool(fields["flags"] & _FIB_RULE_INVERT),
        action=ACTIONS.get(fields["action"], "action %d" % fields["action"]),
        table=message.attribute("FRA_TABLE") or fields["table"],
        target=message.attribute("FRA_GOTO") or 0,
        suppress_prefixlength=_unless_none(message.attribute("FRA_SUPPRESS_PREFIXLEN")),
        suppress_ifgroup=_unless_none(message.attribute("FRA_SUPPRESS_IFGROUP")),
        l3mdev=bool(message.attribute("FRA_L3MDEV")),
        opaque=tuple(_opaque(fields["attrs"])),
        protocol=message.attribute("FRA_PROTOCOL") or 0,
    )


def _opaque(attributes: List[Any]) -> Iterator[str]:
    for attribute in attributes:
        if attribute[0] not in _MODELLED:
            yield _describe(attribute[0], attribute[1])


def _describe(name: str, content: Any) -> str:
    if name == "UNKNOWN":  # of a kernel that is newer than pyroute2
        return "attribute %d" % content["header"]["type"]
    if isinstance(content, dict):
        content = " ".join(
            "%s %s" % item for item in sorted(content.items()) if item[0] != "header")
    return "%s %s" % (name.replace("FRA_", "").lower(), content)


def _unless_none(value: Optional[int]) -> Optional[int]:
    return None if value is None or value == _NONE else value


def _selector(version: int, address: Optional[str], length: int) -> Optional[IPNetwork]:
    return _network(version, address, length) if length else None


def _network(version: int, address: Optional[str], length: int) -> IPNetwork:
    return parse_network(f"{address}/{length}") if address else ANY[version]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        # A link's name may be any bytes; pyroute2 leaves those alone that are not UTF-8.
        return value.decode("utf-8", "backslashreplace")
    return str(value) if value else ""


def read_sysctl(name: str) -> int:
    """The sysctl's number below /proc/sys/net; 0 where the kernel does not have it."""
    try:
        return int((_PROC / name).read_text().split()[0])
    except OSError as error:
        pass_on_exhaustion(error)
        return 0
    except (ValueError, IndexError):
        return 0
