"""How long a whole proof takes: ``python tests/bench/bench_rpdb.py [UPLINKS ROUTES OWN_ROUTES]``.

A synthetic host: each uplink has one address, its own table and the three rules of the design;
main has ROUTES routes beside; an own table knows OWN_ROUTES networks of other uplinks.
"""

import random
import resource
import sys
import time
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from symroute_nm.model.network import ANY, Hop, Route, Rule, host_network
from symroute_nm.model.route_set import pack
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.rules import Packet

INTERNAL = 8
ROW = "%-52s %9s %9s"


def build_host(uplinks, routes, own, internal=INTERNAL):
    """Rules, routes and the address of each uplink."""
    chance = random.Random(1)
    rules = [Rule(4, 0, table=255), Rule(4, 32766, table=254), Rule(4, 32767, table=253)]
    found, addresses = list(build_main(uplinks, routes, internal, chance)), []
    for number in range(uplinks):
        address, table, hop = IPv4Address(0x0A000005 + (number << 8)), 1000 + number, hop_of(number)
        addresses.append(address)
        found.append(Route(host_network(address), 255, "local", (Hop(f"eth{number}"),)))
        found.append(Route(network_of(number), table, hops=(Hop(f"eth{number}"),)))
        found.append(Route(ANY[4], table, hops=(hop,)))
        others = chance.sample(range(uplinks), min(own, uplinks))
        found += [
            Route(network_of(other), table, hops=(hop,)) for other in others if other != number
        ]
        source = host_network(address)
        rules.append(Rule(4, 20000, source, table=table, suppress_prefixlength=0))
        rules.append(Rule(4, 20001, source, table=254, suppress_prefixlength=0))
        rules.append(Rule(4, 20002, source, table=table))
    return rules, found, addresses


def build_main(uplinks, routes, internal, chance):
    """20,000 prefixes of 16 to 28 bits, and what is connected."""
    yield Route(ANY[4], hops=(hop_of(0),))
    yield Route(IPv4Network("172.17.0.0/16"), hops=(Hop("docker0"),))
    for number in range(uplinks):
        yield Route(network_of(number), hops=(Hop(f"eth{number}"),))
    seen = set()
    while len(seen) < routes:
        network = (chance.randrange(11 << 24, 224 << 24), chance.randrange(16, 29))
        seen.add(IPv4Network(network, strict=False))
    for network in sorted(seen):
        link = chance.randrange(internal or uplinks)
        yield Route(network, hops=(Hop(f"cali{link}") if internal else hop_of(link),))


def network_of(number):
    return IPv4Network((0x0A000000 + (number << 8), 24))


def hop_of(number):
    return Hop(f"eth{number}", IPv4Address(0x0A000001 + (number << 8)))


def measure(name, function):
    start = time.perf_counter()
    outcome = function()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(ROW % (name, f"{seconds:.2f}", f"{peak:.0f}"))
    return outcome


def main(uplinks=500, routes=20000, own=500):
    spread = ("by 8 internal links", INTERNAL), ("by all the gateways (the worst)", 0)
    for words, internal in spread:
        run(uplinks, routes, own, internal, words)


def run(uplinks, routes, own, internal, words):
    rules, found, addresses = build_host(uplinks, routes, own, internal)
    print(
        f"{uplinks} uplinks, {len(rules)} rules, {routes} routes in main {words}, "
        f"{len(found) - routes} elsewhere"
    )
    print(ROW % ("", "seconds", "peak MiB"))
    rpdb = measure("index", lambda: Rpdb(rules, pack(found)))
    templates = [Packet(IPv4Address(0), address) for address in addresses]
    count = measure("proof: the ways of every address", lambda: count_ways(rpdb, templates))
    one = measure("all classes of one address", lambda: rpdb.classes(templates[0]))
    packets = [
        Packet(IPv4Address(index << 20), addresses[index % uplinks]) for index in range(1000)
    ]
    measure("1,000 decisions", lambda: [rpdb.decide(packet) for packet in packets])
    print(f"{count} ways, {len(one)} classes of the first address\n")


def count_ways(rpdb, templates):
    return sum(len(rpdb.ways(template)) for template in templates)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
