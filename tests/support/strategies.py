"""Hosts as hypothesis makes them up, and how many of them a test is given."""

import os
from ipaddress import ip_address, ip_network

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from support.hosts import address, host, link, make_plan, route, two_uplinks, with_routes
from symroute_nm.errors import SymrouteError
from symroute_nm.model.network import Hop, Route, Rule
from symroute_nm.model.profiles import Profile

# SYMROUTE_EXAMPLES=20 tests/run unit: so many times as many, for whoever has the time.
TIMES = int(os.environ.get("SYMROUTE_EXAMPLES", "1"))


def examples(number: int) -> settings:
    """So many examples for a test: few, so that all tests are done soon, and others each time."""
    return settings(
        max_examples=number * TIMES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


# Small worlds in which much overlaps.
NAMES = ("eth0", "eth1", "eth2", "docker0", "wg0")
NETWORKS = (
    "10.0.5.0/24",
    "10.0.6.0/24",
    "10.0.0.0/8",
    "10.0.6.128/25",
    "172.17.0.0/16",
    "169.254.0.0/16",
    "2001:db8:5::/64",
    "fe80::/64",
)
GATEWAYS = {4: ("10.0.5.1", "10.0.6.1"), 6: ("fe80::1", "2001:db8:5::1")}
names = st.sampled_from(NAMES)
some_address = st.builds(
    lambda name, text, dynamic: address(name, text, dynamic=dynamic),
    names,
    st.sampled_from(
        [
            "10.0.6.5/24",
            "10.0.5.5/24",
            "10.0.6.7/25",
            "172.17.0.1/16",
            "2001:db8:5::5/64",
            "fe80::5/64",
        ]
    ),
    st.booleans(),
)
some_rule = st.builds(
    lambda version, priority, source, iif, table: Rule(
        version,
        priority,
        ip_network(source) if source and version == 4 else None,
        iif=iif,
        table=table,
    ),
    st.sampled_from([4, 6]),
    st.sampled_from([5, 999, 20000, 20002, 32766]),
    st.sampled_from(["", "10.0.6.5/32", "10.0.5.0/24"]),
    st.sampled_from(["", "eth0", "eth1"]),
    st.sampled_from([100, 200, 254]),
)
some_profile = st.builds(
    lambda name, device: Profile(name, device=device),
    st.sampled_from(["eth0", "eth1", "b"]),
    st.sampled_from(["eth0", "eth1", "eth2"]),
)


@st.composite
def some_route(draw):
    version = draw(st.sampled_from([4, 4, 6]))
    network = ip_network(
        draw(
            st.sampled_from(
                [
                    "0.0.0.0/0" if version == 4 else "::/0",
                    *(each for each in NETWORKS if ip_network(each).version == version),
                ]
            )
        )
    )
    gateway = draw(st.one_of(st.none(), st.sampled_from(GATEWAYS[version]).map(ip_address)))
    kind = draw(st.sampled_from(["unicast"] * 5 + ["blackhole", "throw"]))
    hops = (Hop(draw(names), gateway, draw(st.booleans())),) if kind == "unicast" else ()
    return Route(
        network,
        table=draw(st.sampled_from([254, 254, 254, 100, 200])),
        type=kind,
        hops=hops,
        metric=draw(st.sampled_from([0, 100])),
        tos=draw(st.sampled_from([0, 0, 0, 8])),
    )


@st.composite
def small_hosts(draw):
    """Hosts with three uplinks at most, most of them with a plan."""
    links = tuple(link(number, name) for number, name in enumerate(NAMES, 2))
    base = two_uplinks()
    if draw(st.booleans()):
        base = base._replace(
            profiles=tuple(
                draw(st.lists(some_profile, unique_by=lambda each: each.name, max_size=3))
            )
        )
    rule_list = draw(
        st.lists(some_rule, max_size=3, unique_by=lambda each: (each.version, each.priority))
    )
    return with_routes(
        base._replace(
            links=links,
            addresses=base.addresses + tuple(draw(st.lists(some_address, max_size=3))),
            rules=tuple(rule_list),
        ),
        *draw(st.lists(some_route(), max_size=5)),
    )


def planned(made, settings):
    try:
        return make_plan(made, settings)
    except SymrouteError as error:
        return str(error)


def networks(prefixes):
    return st.builds(
        lambda number, length: ip_network((number & ~((1 << (32 - length)) - 1), length)),
        st.integers(0x0A000000, 0x0AFFFFFF),
        prefixes,
    )


@st.composite
def random_hosts(draw):
    """Two or three uplinks with networks of any overlap but no common address, and what main
    may have besides: bridges, static routes by gateways, blackholes, link-local routes."""
    count = draw(st.integers(2, 3))
    links = [link(number + 2, f"eth{number}") for number in range(count)]
    links += [link(9, "br0", kind="bridge"), link(10, "wg0", kind="wireguard")]
    addresses = []
    routes = []
    for number in range(count):
        length = draw(st.sampled_from([8, 16, 20, 24]))
        network = ip_network(f"10.{number}.6.0/24").supernet(new_prefix=length)
        own = network[5 + number] if length == 24 else ip_address(f"10.{number}.6.5")
        addresses.append(address(f"eth{number}", f"{own}/{length}"))
        gateway = f"10.{number}.6.1"
        routes.append(route("default", f"eth{number}", gateway, metric=number))
        for network in draw(st.lists(networks(st.integers(9, 30)), max_size=3)):
            routes.append(Route(network, hops=(Hop(f"eth{number}", ip_address(gateway)),)))
    for name in ("br0", "wg0"):
        for network in draw(st.lists(networks(st.integers(9, 30)), max_size=3)):
            routes.append(Route(network, hops=(Hop(name),)))
    for network in draw(st.lists(networks(st.integers(9, 30)), max_size=2)):
        routes.append(Route(network, type="blackhole"))
    routes.append(route("169.254.0.0/16", "eth0", metric=1002))
    unique = {(entry.destination, entry.metric): entry for entry in routes}
    forwarding = draw(st.sampled_from([(), (4,)]))
    return host(links, addresses, unique.values(), forwarding=forwarding)
