"""Fewer entries that decide the same: against a table small enough to try every address."""

from ipaddress import collapse_addresses, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from support.strategies import examples
from symroute_nm.model.network import Hop, contains
from symroute_nm.model.prefixes import network_of_key, prefix_key
from symroute_nm.plan import aggregation

BITS = 4  # a network space small enough to try every address


def ranked(entries):
    return sorted(
        ((prefix_key(network), value) for network, value in entries.items()),
        key=lambda each: each[0],
    )


def named(version, entries):
    return {network_of_key(version, number): value for number, value in entries}


def needed(entries, fallback):
    return named(4, aggregation.drop_implied(4, ranked(entries), fallback))


def join(entries):
    found = list(aggregation.join_halves(4, ranked(entries)))
    assert sorted(found, key=lambda each: each[0]) == found
    return named(4, found)


def widen(entries, most):
    version = next((entry.version for entry in entries), 4)
    return named(version, aggregation.widen(version, dict(ranked(entries)), most).items())


@st.composite
def small_networks(draw):
    length = draw(st.integers(0, BITS))
    number = draw(st.integers(0, 2**BITS - 1)) >> (BITS - length) << (BITS - length)
    return (
        ip_network(f"10.0.0.{number}/{32 - BITS + length}")
        if length
        else ip_network(f"10.0.0.0/{draw(st.sampled_from([0, 28]))}", strict=False)
    )


def decide(entries, number, fallback, default):
    """The longest prefix's entry; `fallback` where none but the default route has it."""
    destination = ip_network(f"10.0.0.{number}/32")
    found = [entry for entry in entries if contains(entry, destination) and entry.prefixlen]
    if found:
        return entries[max(found, key=lambda each: each.prefixlen)]
    return default if fallback is None else fallback


HOPS = [Hop(), Hop("eth0"), Hop("eth0", ip_address("10.0.0.1"))]


@given(st.dictionaries(small_networks(), st.sampled_from(HOPS), max_size=8), st.booleans())
def test_entries_left_out_change_no_decision(entries, suppressing):
    everything = ip_network("0.0.0.0/0")
    out = HOPS[-1]
    entries = dict(entries)
    entries[everything] = out
    fallback = Hop() if suppressing else out
    kept = needed(entries, fallback)
    assert {each: entries[each] for each in kept} == kept
    assert out == kept[everything]
    for number in range(2**BITS):
        assert decide(entries, number, fallback, out) == decide(kept, number, fallback, out)
    # Nothing more can be left out.
    for network in set(kept) - {everything}:
        fewer = {each: hop for each, hop in kept.items() if each != network}
        assert any(
            decide(fewer, number, fallback, out) != decide(kept, number, fallback, out)
            for number in range(2**BITS)
        ) or any(each != network and contains(network, each) for each in kept)


@given(st.dictionaries(small_networks(), st.sampled_from(HOPS), max_size=12))
@examples(80)
def test_halves_made_one_change_no_decision(entries):
    entries = {each: hop for each, hop in entries.items() if each.prefixlen}
    joined = join(entries)
    nothing = Hop("none")
    for number in range(2**BITS):
        assert decide(entries, number, nothing, nothing) == decide(joined, number, nothing, nothing)
    assert len(entries) >= len(joined)
    # No two halves that agree are left.
    for network in joined:
        halves = [
            each
            for each in joined
            if each.prefixlen == network.prefixlen and each.supernet() == network.supernet()
        ]
        assert len(halves) == len({joined[halve] for halve in halves})


@given(st.sets(small_networks().filter(lambda each: each.prefixlen), max_size=12))
def test_of_one_kind_they_are_what_the_standard_library_collapses_them_to(networks):
    entries = dict.fromkeys(networks, True)
    assert sorted(collapse_addresses(networks)) == sorted(needed(join(entries), False))


def test_no_default_route_comes_of_it():
    halves = {ip_network("0.0.0.0/1"): True, ip_network("128.0.0.0/1"): True}
    assert halves == join(halves)


@given(
    st.dictionaries(
        small_networks().filter(lambda each: each.prefixlen), st.booleans(), max_size=8
    ),
    st.integers(0, 8),
)
@examples(80)
def test_wider_networks_take_in_nothing_that_is_known(entries, most):
    wide = widen(entries, most)
    for number in range(2**BITS):
        before, after = decide(entries, number, None, None), decide(wide, number, None, None)
        assert before == after or (before, after) == (None, True)
    assert {each for each, value in entries.items() if not value} == {
        each for each, value in wide.items() if not value
    }
    if sum(entries.values()) <= most:
        assert entries == wide
    blocked = any(not value for value in entries.values()) or any(
        one != other and contains(one, other) for one in entries for other in entries
    )
    assert blocked or sum(wide.values()) <= max(most, 1)


def test_networks_are_made_no_wider_than_needed():
    networks = [
        ip_network(each) for each in ("10.0.0.0/24", "10.0.2.0/24", "10.0.9.0/24", "10.1.0.0/24")
    ]
    wide = widen(dict.fromkeys(networks, True), 3)
    assert ["10.0.0.0/22", "10.0.8.0/22", "10.1.0.0/22"] == sorted(map(str, wide))


def test_networks_far_from_each_other_stay_two():
    far = {ip_network("10.0.0.0/24"): True, ip_network("11.0.0.0/24"): True}
    assert ["10.0.0.0/8", "11.0.0.0/8"] == sorted(map(str, widen(far, 1)))
    six = {ip_network("2001:db8::/64"): True, ip_network("2001:db9::/64"): True}
    assert ["2001:db8::/32", "2001:db9::/32"] == sorted(map(str, widen(six, 1)))
