"""Many routes in little memory are as good as a tuple of them."""

from bisect import bisect_right
from ipaddress import IPv4Network, ip_address, ip_network
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.hosts import route
from support.strategies import examples
from symroute_nm.model import route_set as routes_module
from symroute_nm.model.network import TABLE_MAIN, Hop, Route, network_key
from symroute_nm.model.prefixes import PrefixSet, last_address, network_of_key, prefix_key
from symroute_nm.model.route_set import RouteSet, pack
from symroute_nm.rpdb.fib import Query, Table

HOPS = ((), (Hop("eth0"),), (Hop("eth1", ip_address("10.0.5.1")),), (Hop("a"), Hop("b")))
SIX = 0x20010DB8 << 96


def networks(version):
    bits, base = (32, 0x0A000000) if version == 4 else (128, SIX)
    return st.builds(
        lambda number, length: ip_network(
            ((base + number).to_bytes(bits // 8, "big"), length), strict=False
        ),
        st.integers(0, 63),
        st.sampled_from([0, 8, bits - 6, bits - 4, bits - 1, bits]),
    )


some_route = st.builds(
    lambda network, table, hops, metric, tos: Route(
        network,
        table,
        "unicast" if hops else "throw",
        hops,
        metric,
        tos if network.version == 4 else 0,
    ),
    st.one_of(networks(4), networks(6)),
    st.sampled_from([254, 100]),
    st.sampled_from(HOPS),
    st.sampled_from([0, 0, 7]),
    st.sampled_from([0, 0, 8]),
)


def place(route):
    """What a host's routes are in order by, where the kernel's order does not count."""
    return (route.table, *network_key(route.destination), route.tos, route.metric)


@given(st.lists(some_route, max_size=40, unique_by=place))
@examples(80)
def test_routes_come_back_in_order_whatever_order_they_came_in(listed):
    packed = pack(listed)
    assert sorted(listed, key=place) == list(packed)
    assert packed == pack(listed[::-1]) == tuple(listed)
    assert len(listed) == len(packed)
    assert tuple(packed[:2]) == tuple(sorted(listed, key=place)[:2])


@given(st.lists(some_route, max_size=40))
@examples(60)
def test_what_is_wanted_of_them(listed):
    packed = pack(listed)
    wanted = [entry for entry in packed if entry.table == TABLE_MAIN and entry.hop.link == "eth0"]
    assert wanted == list(
        packed.select(lambda each: each.table == TABLE_MAIN and each.hop.link == "eth0")
    )
    assert [entry for entry in packed if entry.default] == list(
        packed.select(lambda each: each.default)
    )
    keys = sorted(
        (each.version, each.metric, number)
        for each, found in packed.select_prefix_keys(lambda each: each.hop.link == "eth0")
        for number in found
    )
    assert keys == sorted(
        (entry.version, entry.metric, prefix_key(entry.destination))
        for entry in packed
        if entry.hop.link == "eth0"
    )
    for listed_rule in listed:
        assert [
            other
            for other in packed
            if other.destination == listed_rule.destination and other.table == listed_rule.table
        ] == packed.to(listed_rule.table, listed_rule.destination)
    assert [] == packed.to(77, ip_network("10.0.0.0/8"))


@given(st.lists(some_route, max_size=40), st.integers(0, 63), st.integers(0, 63))
@examples(80)
def test_a_stretch_of_a_table_decides_there_as_the_whole(listed, one, other):
    for version, base in ((4, 0x0A000000), (6, SIX)):
        packed = pack(listed).of(TABLE_MAIN, version)
        if packed is None:
            continue
        first, last = sorted((base + one, base + other))
        part = packed.within(first, last)
        assert [
            each
            for each in map(packed.route, range(len(packed.prefix_keys)))
            if first <= int(each.destination.broadcast_address)
            and int(each.destination.network_address) <= last
        ] == list(map(part.route, range(len(part.prefix_keys))))
        for number in range(first, last + 1):
            assert Table(packed).find(number, Query()) == Table(part).find(number, Query())


@given(st.lists(some_route, max_size=40), st.integers(1, 9))
@examples(60)
def test_stretches_are_all_addresses_and_have_few_routes(listed, most):
    for packed in pack(listed).tables:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(routes_module, "_STRETCH", most)
            stretches = list(packed.stretches())
        assert 0 == stretches[0][0]
        assert (1 << (32 if packed.version == 4 else 128)) - 1 == stretches[-1][1]
        assert all(one[1] + 1 == other[0] for one, other in zip(stretches, stretches[1:]))
        starts = [first for first, _ in stretches]
        where = [bisect_right(starts, number >> 8) for number in packed.prefix_keys]
        # More than that only where they begin together.
        for stretch in set(where):
            here = [
                number >> 8 for number, each in zip(packed.prefix_keys, where) if each == stretch
            ]
            assert 2 * most > len(here) or len(here) <= most + max(map(here.count, here))


@pytest.mark.parametrize("network", ["192.0.2.0/24", "2001:db8:1::/64", "fec0::/64"])
def test_of_equal_routes_the_first_stays_the_first(network):
    ways = [route(network, name) for name in ("eth1", "eth0", "eth2")]
    for order in permutations(ways):
        assert list(order) == list(
            pack([*order, route("10.0.0.0/8", "eth0")]).to(TABLE_MAIN, ip_network(network))
        )


@pytest.mark.parametrize("network", ["fe80::/64", "fe80::/10", "ff00::/8"])
def test_what_is_routed_by_the_packets_own_link_is_in_one_order(network):
    ways = [route(network, name) for name in ("eth1", "eth0", "eth2")]
    assert 1 == len({tuple(pack(order)) for order in permutations(ways)})


def test_a_full_table_takes_few_bytes_a_route():
    packed = pack(
        route(
            f"{IPv4Network((11 << 24) + (number << 9)).network_address}/24",
            ("eth0", "eth1")[number % 2],
        )
        for number in range(3000)
    )
    (main,) = packed.tables
    assert 2 == len(main.templates)
    sizes = (main.prefix_keys.itemsize, main.kinds.itemsize)
    assert (8, 4) == sizes


def test_packed_routes_stay_as_they_are():
    packed = pack([route("10.0.0.0/8", "eth0")])
    assert packed is pack(packed)
    assert "10.0.0.0/8" in repr(packed)
    assert RouteSet() == () != packed
    assert packed != ["10.0.0.0/8"]
    with pytest.raises(TypeError):
        hash(packed)


@given(st.sets(networks(4)), networks(4))
def test_a_set_of_networks(these, one):
    known = PrefixSet(4, sorted(map(prefix_key, these)))
    assert these == known
    assert (one in these) == (one in known)
    assert these & {one} == known & {one}
    assert ip_network("::/0") not in known
    assert sorted(these, key=network_key) == list(known)
    assert all(int(each.broadcast_address) == last_address(prefix_key(each), 32) for each in these)
    assert these == {network_of_key(4, prefix_key(each)) for each in these}
