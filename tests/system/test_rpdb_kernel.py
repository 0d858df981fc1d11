"""The RPDB model against the kernel: random rules and tables in a namespace, packets asked of both.

Replay: ``SYMROUTE_SEED=17 SYMROUTE_CASES=1 pytest tests/system/test_rpdb_kernel.py``; a failure
prints the seed and the commands that rebuild the case by hand.
"""

import ctypes
import errno
import os
import random
import socket
import struct
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

import pytest

from symroute_nm.model.network import Hop, Route, Rule
from symroute_nm.model.route_set import pack
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.rules import Packet

SEED = int(os.environ.get("SYMROUTE_SEED", "1"))
CASES = int(os.environ.get("SYMROUTE_CASES", "200"))  # of each family
PACKETS = 100  # each is asked twice: which way, and by which route
LINKS = ("l0", "l1", "l2")
# IPv6 judges a route by several links by the one that its hash picks: there all are in one group
GROUPS = {4: {"lo": 0, "l0": 0, "l1": 7, "l2": 0}, 6: {"lo": 0, "l0": 7, "l1": 7, "l2": 7}}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

# linux/rtnetlink.h, linux/fib_rules.h
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_GETROUTE, RTM_GETRULE = 26, 34
RTM_F_CLONED, RTM_F_LOOKUP_TABLE, RTM_F_FIB_MATCH = 0x200, 0x1000, 0x2000
RTA_DST, RTA_SRC, RTA_IIF, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY = 1, 2, 3, 4, 5, 6
RTA_MULTIPATH, RTA_TABLE, RTA_MARK = 9, 15, 16
TYPES = "unspec unicast local broadcast anycast multicast blackhole unreachable prohibit throw"
ROUTE_TYPES = dict(enumerate(TYPES.split()))
ACTIONS = dict(
    enumerate(["-", "lookup", "goto", "nop", "-", "-", "blackhole", "unreachable", "prohibit"])
)
FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_GOTO, FRA_PRIORITY, FRA_FWMARK = 1, 2, 3, 4, 6, 10
FRA_SUPPRESS_IFGROUP, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, FRA_FWMASK = 13, 14, 15, 16
FRA_OIFNAME, FRA_L3MDEV, FRA_UID_RANGE, FRA_IP_PROTO, FRA_DPORT = 17, 19, 20, 22, 24
FIB_RULE_INVERT = 2
OPAQUE = {FRA_UID_RANGE: "uidrange", FRA_IP_PROTO: "ipproto", FRA_DPORT: "dport"}
ERRNO = {"blackhole": errno.EINVAL, "prohibit": errno.EACCES}


class Kernel:
    """Raw rtnetlink, so that every Python and pyroute2 asks alike."""

    def __init__(self, version):
        self.version = version
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.socket.bind((0, 0))
        names = (*LINKS, *(name.replace("l", "p") for name in LINKS), "lo")
        self.index = {name: socket.if_nametoindex(name) for name in names}
        self.name = {index: name for name, index in self.index.items()}

    def close(self):
        self.socket.close()

    def talk(self, kind, flags, body):
        """The messages that come back as (type, body); an errno as (NLMSG_ERROR, number)."""
        self.socket.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        out = []
        while True:
            chunk = self.socket.recv(1 << 20)
            while chunk:
                length, kind, flags = struct.unpack_from("=IHH", chunk)
                body, chunk = chunk[16:length], chunk[(length + 3) & ~3 :]
                if kind == NLMSG_DONE:
                    return out
                if kind == NLMSG_ERROR:
                    return [(NLMSG_ERROR, -struct.unpack_from("=i", body)[0])]
                out.append((kind, body))
                if not flags & 2:  # NLM_F_MULTI
                    return out

    def routes(self):
        head = struct.pack("=8BI", FAMILY[self.version], 0, 0, 0, 0, 0, 0, 0, 0)
        routes = [self.route(body) for _, body in self.talk(RTM_GETROUTE, 0x301, head)]
        return [route for route in routes if route is not None]

    def route(self, body):
        head = struct.unpack_from("=8BI", body)
        length, tos, table, protocol, scope, kind, flags = (head[1], *head[3:])
        if flags & RTM_F_CLONED:
            return None
        attributes = parse(body[12:])
        rejected = ROUTE_TYPES[kind] in ("blackhole", "unreachable", "prohibit", "throw")
        return Route(
            destination=self.network(attributes.get(RTA_DST), length),
            table=number(attributes.get(RTA_TABLE), table),
            type=ROUTE_TYPES[kind],
            hops=() if rejected else self.hops(attributes),
            metric=number(attributes.get(RTA_PRIORITY), 0),
            tos=tos,
            protocol=protocol,
            scope=scope,
        )

    def network(self, raw, length):
        raw = raw or bytes(4 if self.version == 4 else 16)
        kind = IPv4Network if self.version == 4 else IPv6Network
        return kind((raw, length))

    def hops(self, attributes):
        if RTA_MULTIPATH not in attributes:
            return (self.hop(attributes, number(attributes.get(RTA_OIF), 0)),)
        hops, rest = [], attributes[RTA_MULTIPATH]
        while rest:
            length, _, _, index = struct.unpack_from("=HBBi", rest)
            hops.append(self.hop(parse(rest[8:length]), index))
            rest = rest[(length + 3) & ~3 :]
        return tuple(hops)

    def hop(self, attributes, index):
        raw = attributes.get(RTA_GATEWAY)
        return Hop(self.name.get(index, ""), None if raw is None else ip_address(raw))

    def rules(self):
        head = struct.pack("=8BI", FAMILY[self.version], 0, 0, 0, 0, 0, 0, 0, 0)
        return [self.rule(body) for _, body in self.talk(RTM_GETRULE, 0x301, head)]

    def rule(self, body):
        head = struct.unpack_from("=8BI", body)
        found = parse(body[12:])

        def suppress(kind):
            value = number(found.get(kind), 0xFFFFFFFF)
            return None if value == 0xFFFFFFFF else value

        return Rule(
            version=self.version,
            priority=number(found.get(FRA_PRIORITY), 0),
            source=self.network(found[FRA_SRC], head[2]) if FRA_SRC in found else None,
            destination=self.network(found[FRA_DST], head[1]) if FRA_DST in found else None,
            iif=found.get(FRA_IIFNAME, b"").rstrip(b"\0").decode(),
            oif=found.get(FRA_OIFNAME, b"").rstrip(b"\0").decode(),
            mark=number(found.get(FRA_FWMARK), 0),
            mask=number(found.get(FRA_FWMASK), 0),
            tos=head[3],
            invert=bool(head[8] & FIB_RULE_INVERT),
            action=ACTIONS[head[7]],
            table=number(found.get(FRA_TABLE), head[4]),
            target=number(found.get(FRA_GOTO), 0),
            suppress_prefixlength=suppress(FRA_SUPPRESS_PREFIXLEN),
            suppress_ifgroup=suppress(FRA_SUPPRESS_IFGROUP),
            l3mdev=found.get(FRA_L3MDEV, b"\0") != b"\0",
            opaque=tuple(name for kind, name in OPAQUE.items() if kind in found),
        )

    def ask(self, packet, flags):
        """The route of the answer, or the errno."""
        source = b"" if packet.source is None else packet.source.packed
        bits = packet.destination.max_prefixlen
        head = (FAMILY[self.version], bits, len(source) * 8, packet.tos, 0, 0, 0, 0, flags)
        body = struct.pack("=8BI", *head) + attribute(RTA_DST, packet.destination.packed)
        if source:
            body += attribute(RTA_SRC, source)
        for kind, value in (
            (RTA_IIF, self.index.get(packet.iif, 0)),
            (RTA_OIF, self.index.get(packet.oif, 0)),
            (RTA_MARK, packet.mark),
        ):
            if value:
                body += attribute(kind, struct.pack("=I", value))
        ((kind, answer),) = self.talk(RTM_GETROUTE, 1, body)
        if kind == NLMSG_ERROR:
            return answer
        flagless = answer[:8] + bytes(4) + answer[12:]  # answers are "cloned"
        return self.route(flagless)


def number(raw, default):
    return default if raw is None else struct.unpack_from("=I", raw)[0]


def attribute(kind, raw):
    return struct.pack("=HH", 4 + len(raw), kind) + raw + bytes(-len(raw) % 4)


def parse(raw):
    out = {}
    while len(raw) >= 4:
        length, kind = struct.unpack_from("=HH", raw)
        out[kind & 0x3FFF] = raw[4:length]
        raw = raw[(length + 3) & ~3 :]
    return out


def in_namespace(function):
    """Call it in a thread of its own in a fresh network namespace, which dies with the thread."""

    def body():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x40000000):  # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), "unshare")
        return function()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(body).result()


SYSCTLS = [
    "ipv4.conf.all.forwarding=1",
    "ipv4.conf.all.accept_local=1",
    "ipv4.conf.all.rp_filter=0",
    "ipv4.conf.default.rp_filter=0",
    "ipv4.conf.all.send_redirects=0",
    "ipv4.conf.default.send_redirects=0",
    "ipv6.conf.default.accept_dad=0",
    "ipv6.conf.default.addr_gen_mode=1",
    "ipv6.conf.all.forwarding=1",
]


class Case:
    """One host: the commands that make it, and the packets to ask, all from one seed."""

    def __init__(self, version, seed):
        self.version, self.seed = version, seed
        self.random = random.Random(f"{version} {seed}")
        self.equals = {}  # prefix, table and metric → routes by gateways, others
        self.commands = [*self.links(), *self.neighbours(), *self.routes(), *self.rules()]

    def links(self):
        yield "link set lo up"
        for position, name in enumerate(LINKS):
            yield f"link add name {name} type veth peer name p{position}"
            yield f"link set p{position} up"
            yield f"link set {name} up group {GROUPS[self.version][name]}"
            yield f"address add {self.own(position)} dev {name}"

    def neighbours(self):
        """Who answers: IPv4 picks among equal default routes by that."""
        for position, link in enumerate(LINKS * (self.version == 4)):
            for last in self.random.sample((251, 252, 253), self.random.randrange(4)):
                state = self.random.choice(("reachable", "stale", "failed"))
                words = (self.address((10 << 24) + (position << 8) + last), link, state)
                yield "neigh add {} lladdr 02:00:00:00:00:01 dev {} nud {}".format(*words)

    def own(self, position):
        return f"{self.address((10 << 24) + (position << 8) + 1)}/{self.length(24)}"

    def address(self, number):
        """A 32-bit number as an address of the family; in IPv6 it stands behind 2001:db8::/32."""
        if self.version == 4:
            return IPv4Address(number)
        return IPv6Address((0x20010DB8 << 96) + (number << 64) + 1)

    def length(self, length):
        return length + 32 if self.version == 6 and length else length

    def prefix(self):
        base = self.base()
        length = self.random.choice((0, 0, 1, 8, 12, 16, 22, 23, 24, 24, 25, 31, 32))
        if self.version == 6 and self.random.random() < 0.1:
            return ip_network(base)
        if self.version == 6 and self.random.random() < 0.05:
            return IPv6Network(self.random.choice(("fe80::/64", "::/1")))
        return ip_network(f"{base}/{self.length(length)}", strict=False)

    def base(self):
        high = self.random.choice((10, 10, 10, 172, 192)) << 24
        return self.address(
            high + self.random.choice((0, 1, 2, 3)) * 0x100 + self.random.choice((0, 1, 2, 77, 255))
        )

    def maybe(self, chance, text, *values):
        return (text % values if values else text) if self.random.random() < chance else ""

    def routes(self):
        for _ in range(self.random.randrange(5, 30)):
            prefix, kind = self.prefix(), ""
            if self.random.random() < 0.25:
                kind = self.random.choice(
                    ["blackhole", "unreachable", "prohibit", "throw", "throw", "local"]
                )
            way = self.way() if not kind else f"dev {self.random.choice(LINKS)}" * (kind == "local")
            metric = self.maybe(0.6, "metric %d", self.random.choice((1, 1, 2, 1024)))
            tos = self.maybe(
                0.2 * (self.version == 4), "tos 0x%x", self.random.choice((4, 8, 16, 0x28))
            )
            verb = self.random.choice(("add", "append", "prepend"))
            table = self.random.choice((100, 101, 102, 254, 254, 255))
            words = (verb, kind, str(prefix), f"table {table}", metric, tos, way)
            if self.version == 4 or self.listable((prefix, table, metric or "metric 1024"), way):
                yield "route " + " ".join(word for word in words if word)

    def listable(self, key, way):
        """The kernel does not list an IPv6 route that stands between the hops of another."""
        gatewayed, others = self.equals.get(key, (0, 0))
        gatewayed += way.count("via")
        others += max(way.count("dev"), 1) - way.count("via")
        if gatewayed > 1 and others:
            return False
        self.equals[key] = (gatewayed, others)
        return True

    def way(self):
        if self.random.random() < 0.2:
            hops = ["nexthop " + self.hop() for _ in range(self.random.randrange(2, 4))]
            return " ".join(hops)
        return self.hop()

    def hop(self):
        link = self.random.randrange(3)
        if self.random.random() < 0.25:
            return f"dev {LINKS[link]}"
        if self.version == 6:
            return f"via fe80::{self.random.randrange(1, 4)} dev {LINKS[link]}"
        gateway = self.address((10 << 24) + (link << 8) + self.random.randrange(251, 254))
        return f"via {gateway} dev {LINKS[link]} onlink"

    def rules(self):
        # Until a rule is added the kernel takes a short cut past the rules (see `rpdb`).
        yield "rule add pref 39999 nop"
        for _ in range(self.random.randrange(1, 14)):
            yield "rule add " + " ".join(word for word in self.rule() if word)
        for priority, chance in ((0, 0.1), (32766, 0.3)):
            if self.random.random() < chance:
                yield f"rule delete pref {priority}"

    def rule(self):
        pick, some = self.random.choice, self.maybe
        tos = (4, 8, 16, 0x28) if self.version == 6 else (4, 8, 16)
        opaque = some(0.06, pick(("uidrange 70000-70001", "ipproto 132", "dport 7")))
        # These never match our packets, as the model takes it; inverted they would always.
        yield opaque or some(0.12, "not")
        yield some(0.35, "from %s", self.source() if self.random.random() < 0.6 else self.prefix())
        yield some(0.3, "to %s", self.prefix())
        yield some(0.2, "iif %s", pick(("l0", "l1", "lo", "lo", "gone0")))
        yield some(0.1, "oif %s", pick(("l0", "l1", "gone0")))
        yield some(0.2, "fwmark %s", pick(("1", "1/1", "2/3", "0/1")))
        yield some(0.1, "tos 0x%x", pick(tos))
        yield f"pref {pick((0, 5, 10, 10, 20, 30, 40, 40, 50, 40000))}"
        yield from self.action()

    def action(self):
        kind = self.random.random()
        if kind < 0.15:
            yield f"goto {self.random.choice((10, 20, 30, 40, 50, 60, 32766))}"
        elif kind < 0.3:
            yield self.random.choice(["nop", "blackhole", "unreachable", "prohibit"])
        elif kind < 0.33:
            yield "l3mdev"
        else:
            yield f"lookup {self.random.choice((100, 101, 102, 103, 254))}"
            longest = (0, 0, 8, 16, 24) if self.version == 4 else (0, 0, 40, 48, 56)
            yield self.maybe(0.4, "suppress_prefixlength %d", self.random.choice(longest))
            yield self.maybe(0.15, "suppress_ifgroup %d", self.random.choice((0, 7)))

    def source(self):
        return self.address((10 << 24) + (self.random.randrange(3) << 8) + 1)

    def packets(self, networks):
        return [self.packet(networks) for _ in range(PACKETS)]

    def packet(self, networks):
        destination = self.destination(networks)
        mark, tos = (
            self.random.choice((0, 0, 0, 1, 2, 3)),
            self.random.choice((0, 0, 4, 8, 16, 0x28)),
        )
        if self.random.random() < 0.4:
            source = self.random.choice((self.base(), self.source()))
            return Packet(destination, source, self.random.choice(LINKS), "", mark, tos)
        oif = self.random.choice((*LINKS * 3, "lo")) if self.random.random() < 0.3 else ""
        source = self.source() if self.random.random() < 0.6 else None
        if self.version == 6 and oif:
            # Only a socket makes an IPv6 lookup strict once a source is set; rtnetlink has none.
            source = None
        return Packet(destination, source, "", oif, mark, tos)

    def destination(self, networks):
        while True:
            network = self.random.choice(networks)
            first, last = int(network.network_address), int(network.broadcast_address)
            number = self.random.choice(
                (first - 1, first, first + 1, last, last + 1, self.random.randint(first, last))
            )
            if self.decidable(number):
                return (IPv4Address if self.version == 4 else IPv6Address)(number)

    def decidable(self, number):
        """IPv4 takes these out before the RPDB: 0/8, 127/8, multicast and the broadcast address."""
        if self.version == 6:
            return 1 < number < 0xFF << 120
        return 0 < number >> 24 < 224 and number >> 24 != 127

    def replay(self):
        lines = ["ip netns add replay"]
        lines += [f"ip netns exec replay sysctl -qw net.{sysctl}" for sysctl in SYSCTLS]
        lines += [f"ip -{self.version} -n replay {command}" for command in self.commands]
        return "\n".join(lines)


def load(case):
    """What the kernel refuses (a route twice, say) is left out: what it has is read back."""
    for sysctl in SYSCTLS:
        path, value = sysctl.split("=")
        Path("/proc/sys/net", *path.split(".")).write_text(value)
    batch = "\n".join(case.commands)
    ip = ["ip", f"-{case.version}", "-force", "-batch", "-"]
    run = subprocess.run(
        ip, input=batch.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    # A word that ip itself does not know ends the batch, -force or not.
    lines = run.stdout.decode().splitlines()
    assert not lines or lines[-1].startswith("Command failed"), "\n".join([batch, *lines])


def wait_until_settled(kernel):
    """Carrier and IPv6 addresses come in the background; an anycast route is the last to come."""
    wanted = 3 * (kernel.version == 6)
    for _ in range(200):
        routes = kernel.routes()
        if sum(route.type == "anycast" for route in routes) >= wanted and routes == kernel.routes():
            return routes
        time.sleep(0.01)
    raise AssertionError(f"the namespace did not settle: {routes}")


def compare(decision, answer, match):
    """What is wrong, in words; "" where kernel and model agree."""
    if decision.type in ("blackhole", "unreachable", "prohibit"):
        wanted = ERRNO.get(decision.type)
        if wanted is None:
            wanted = errno.ENETUNREACH if decision.route is None else errno.EHOSTUNREACH
        return "" if answer == wanted else f"errno {wanted} expected"
    if isinstance(answer, int):
        return "an errno where the model has a way"
    if decision.route is None:
        return "" if set(answer.hops) == set(decision.hops) else "another link"
    if (kind(answer), answer.table) != (decision.type, decision.table):
        return "another type or table"
    ways = set(map(plain, decision.hops))
    if decision.type == "unicast" and not set(map(plain, answer.hops)) <= ways:
        return "another way out"
    return compare_route(decision, match)


def compare_route(decision, match):
    if isinstance(match, int):
        return "no route matched"
    mine = decision.route
    if (match.destination, match.table) != (mine.destination, mine.table):
        return "another route"
    if set(map(plain, match.hops)) == set(map(plain, mine.hops)):
        return "" if match.metric == mine.metric else "another metric"
    # Of equal IPv4 defaults the kernel may match another than the first, and use its first hop.
    spread = set(map(plain, decision.hops)) - set(map(plain, mine.hops))
    return "" if spread and plain(match.hop) in spread else "another route's hops"


def plain(hop):
    return (hop.link, hop.gateway)


def kind(route):
    return "local" if route.type in ("local", "broadcast", "anycast", "multicast") else route.type


def judge(case):
    """Load a case and ask all its packets; the mismatches, and what was seen."""
    load(case)
    kernel = Kernel(case.version)
    try:
        rules, routes = kernel.rules(), wait_until_settled(kernel)
        model = Rpdb(rules, pack(routes), groups=GROUPS[case.version])
        networks = [route.destination for route in routes]
        networks += [rule.destination for rule in rules if rule.destination is not None]
        wrong, seen = [], Counter()
        for packet in case.packets(networks):
            decision, steps = model.trace(packet)
            answer = kernel.ask(packet, RTM_F_LOOKUP_TABLE)
            match = kernel.ask(packet, RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH)
            words = compare(decision, answer, match)
            if words:
                wrong.append((words, packet, decision, answer, match, steps))
            seen.update(observe(decision, steps))
        return wrong, seen
    finally:
        kernel.close()


def observe(decision, steps):
    yield decision.type
    yield "rule" if decision.rule is not None else "nothing"
    yield from (
        word
        for step in steps
        for word in ("throw", "suppressed", "goes on", "not tried")
        if word in step.outcome
    )
    if len(decision.hops) > 1:
        yield "multipath"


def complain(case, wrong):
    words, packet, decision, answer, match, steps = wrong[0]
    lines = [
        f"{len(wrong)} of {PACKETS} packets: replay with SYMROUTE_SEED={case.seed} "
        "SYMROUTE_CASES=1, or by hand:",
        case.replay(),
        f"ip -{case.version} -n replay route get {spell(packet)}",
        f"{words}\nmodel  {decision}\nkernel {answer}\nroute  {match}",
    ]
    lines += [f"{step.rule.priority}: {step.outcome} {step.rule}" for step in steps]
    return "\n".join(lines)


def spell(packet):
    words = [str(packet.destination)]
    for name, value in (("from", packet.source), ("iif", packet.iif), ("oif", packet.oif)):
        words += [name, str(value)] if value else []
    return " ".join(words) + f" mark {packet.mark} tos 0x{packet.tos:x}"


def need_root():
    if os.geteuid() != 0:
        pytest.skip("needs root for network namespaces: run it with sudo")


@pytest.mark.parametrize("version", [4, 6])
def test_the_model_decides_as_the_kernel_does(version):
    need_root()
    seen = Counter()
    for seed in range(SEED, SEED + CASES):
        case = Case(version, seed)
        wrong, found = in_namespace(lambda: judge(case))  # noqa: B023  # called at once
        assert not wrong, complain(case, wrong)
        seen += found
    if CASES >= 50:  # fewer, as in a replay, need not show all
        needed = [
            "unicast",
            "local",
            "blackhole",
            "unreachable",
            "prohibit",
            "throw",
            "suppressed",
            "multipath",
        ]
        assert not [word for word in (*needed, "goes on", "nothing") if seen[word] < 20], seen
        assert CASES * PACKETS == seen["rule"] + seen["nothing"]


def ask_by_hand(version, commands, packet):
    """The kernel's answer and the model's after `commands` on the links of a case."""

    def body():
        case = Case(version, 0)
        case.commands = [*case.links(), *commands]
        load(case)
        kernel = Kernel(version)
        try:
            routes = wait_until_settled(kernel)
            answer = kernel.ask(packet, RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH)
            return answer, Rpdb(kernel.rules(), pack(routes)).decide(packet)
        finally:
            kernel.close()

    need_root()
    return in_namespace(body)


ANY_RULE = "rule add pref 39999 nop"
NESTED = ("route add 198.51.100.0/24 dev l0", "route add prohibit 198.51.0.0/16 table 255")


def test_until_the_first_rule_ipv4_searches_local_and_main_as_one_table():
    """Seeds 7 and 18 found it; no listing shows it, so the model goes by the rules."""
    packet = Packet(ip_address("198.51.100.1"))
    answer, decision = ask_by_hand(4, NESTED, packet)
    assert (254, 24) == (answer.table, answer.destination.prefixlen)
    assert "prohibit" == decision.type
    answer, decision = ask_by_hand(4, (*NESTED, ANY_RULE), packet)
    assert (errno.EACCES, "prohibit") == (answer, decision.type)


def test_until_the_first_rule_ipv6_does_not_miss_the_rules_that_were_deleted():
    """Seed 1278 found it."""
    commands = ("route add 2001:db8:ff::/48 dev l0", "rule delete pref 32766")
    packet = Packet(ip_address("2001:db8:ff::1"))
    answer, decision = ask_by_hand(6, commands, packet)
    assert (254, "unreachable") == (answer.table, decision.type)
    answer, decision = ask_by_hand(6, (*commands, ANY_RULE), packet)
    assert (errno.ENETUNREACH, "unreachable") == (answer, decision.type)


def test_ipv4_sends_a_bound_packet_out_of_its_link_where_the_tables_say_no():
    commands = ("route add blackhole 198.51.100.0/24", ANY_RULE)
    packet = Packet(ip_address("198.51.100.1"))
    answer, decision = ask_by_hand(4, commands, packet)
    assert (errno.EINVAL, "blackhole") == (answer, decision.type)
    _, decision = ask_by_hand(4, commands, packet._replace(oif="l1"))
    assert ("unicast", {"l1"}) == (decision.type, decision.links)


def test_an_ipv6_error_route_is_by_lo_and_does_not_bind_a_bound_packet():
    commands = ("route add blackhole 2001:db8:ff::/48", "route add default dev l1", ANY_RULE)
    answer, decision = ask_by_hand(6, commands, Packet(ip_address("2001:db8:ff::1"), oif="l1"))
    assert (0, {"l1"}) == (answer.destination.prefixlen, decision.links)


def test_without_a_source_no_ipv6_from_matches_but_every_ipv4_one_that_holds_0():
    commands = ("route add default dev l1", "rule add pref 5 from ::/1 prohibit")
    answer, decision = ask_by_hand(6, commands, Packet(ip_address("2001:db8:ff::1")))
    assert ("l1", {"l1"}) == (answer.hop.link, decision.links)
    commands = ("route add default dev l1", "rule add pref 5 from 0.0.0.0/1 prohibit")
    answer, decision = ask_by_hand(4, commands, Packet(ip_address("198.51.100.1")))
    assert (errno.EACCES, "prohibit") == (answer, decision.type)


def test_own_packets_leave_a_dead_ipv4_default_for_another_of_its_metric():
    """Seed 367 found it across two TOS, where the kernel compares no metric."""
    commands = (
        "neigh add 10.0.0.251 lladdr 02:00:00:00:00:01 dev l0 nud failed",
        "route add default via 10.0.0.251 dev l0 tos 4 metric 2",
        "route add default metric 1 nexthop via 10.0.1.251 dev l1 nexthop dev l2",
        ANY_RULE,
    )
    packet = Packet(ip_address("198.51.100.1"), tos=4)
    answer, decision = ask_by_hand(4, commands, packet)
    assert ("l1", {"l0", "l1"}) == (answer.hop.link, decision.links)
    forwarded = packet._replace(source=ip_address("192.0.2.1"), iif="l2")
    answer, decision = ask_by_hand(4, commands, forwarded)
    assert ("l0", {"l0"}) == (answer.hop.link, decision.links)


def test_the_kernel_does_not_list_an_ipv6_route_between_the_hops_of_another():
    """Seed 483 found it (fib6_dump_node skips to the last sibling); no model can know of it."""
    prefix = "route append 2001:db8:ff::/48 metric 5"
    commands = [prefix + " via fe80::1 dev l0", prefix + " dev l2", prefix + " via fe80::1 dev l1"]
    packet = Packet(ip_address("2001:db8:ff::1"), oif="l2")
    answer, decision = ask_by_hand(6, (*commands, ANY_RULE), packet)
    assert ("l2", "unreachable") == (answer.hop.link, decision.type)


def test_of_equal_ipv6_routes_the_kernel_prefers_the_link_a_packet_came_by():
    prefix = "2001:db8:ff::/48"
    ways = [f"route append {prefix} dev {link} metric 5" for link in LINKS]
    packet = Packet(ip_address("2001:db8:ff::1"), iif="l2")
    answer, decision = ask_by_hand(6, (*ways, ANY_RULE), packet)
    assert ("l2", {"l2"}) == (answer.hop.link, decision.links)
