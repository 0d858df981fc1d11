"""What the firewall has loaded of our marks, against what is planned."""

import pytest

from symroute_nm.kernel import loaded_marks
from symroute_nm.kernel.loaded_marks import LoadedMarks, end_repeated_jumps, find_differences
from symroute_nm.model.marking import Mark, Marking

TWO = Marking("nft", 0x7F, (Mark("eth0", 0x64), Mark("eth1", 0x65)))
FOUR = frozenset((4,))
CHAIN = (
    ":symroute_nm - [0:0]",
    "-A PREROUTING -j symroute_nm",
    *(
        "-A symroute_nm -i {} -m conntrack --ctstate NEW --ctdir ORIGINAL "
        "-m connmark --mark 0x0/0x7f -j CONNMARK --set-xmark {}/0x7f".format(*each)
        for each in (("eth0", "0x64"), ("eth1", "0x65"))
    ),
    *(
        f"-A symroute_nm -m connmark --mark {mark}/0x7f -m mark --mark 0x0/0x7f "
        f"-j MARK --set-xmark {mark}/0x7f"
        for mark in ("0x64", "0x65")
    ),
)


def test_a_whole_chain_is_no_difference_and_each_missing_line_is_one():
    marking = TWO._replace(backend="iptables")
    assert () == find_differences(marking, LoadedMarks("", CHAIN, (), True), FOUR)
    for line in CHAIN[1:]:
        less = tuple(each for each in CHAIN if each != line)
        assert 1 == len(find_differences(marking, LoadedMarks("", less, (), True), FOUR))
    assert find_differences(marking, LoadedMarks("", CHAIN, (), True), frozenset((4, 6)))
    assert find_differences(marking, LoadedMarks("", CHAIN, (), False), FOUR)
    assert find_differences(TWO, LoadedMarks("", CHAIN, (), True), FOUR)
    assert find_differences(None, LoadedMarks("", CHAIN, (), True))
    assert () == find_differences(None, LoadedMarks("", (), (), True))


TABLE = """table inet symroute_nm {
  chain prerouting {
    type filter hook prerouting priority -50; policy accept;
    iifname "eth0" ct state new ct direction original ct mark & 0x0000007f == 0x00000000 \
fib daddr type unicast ct mark set ct mark | 0x00000064
    iifname "eth1" ct state new ct direction original ct mark & 0x0000007f == 0x00000000 \
fib daddr type unicast ct mark set ct mark | 0x00000065
    ct mark & 0x0000007f == 0x00000064 {0}mark & 0x0000007f == 0x00000000 {0}mark set {0}mark | \
0x00000064
    ct mark & 0x0000007f == 0x00000065 {0}mark & 0x0000007f == 0x00000000 {0}mark set {0}mark | \
0x00000065
  }
}"""


@pytest.mark.parametrize("word", ["meta ", ""])
def test_a_whole_table_is_no_difference_and_each_missing_line_is_one(word):
    lines = TABLE.replace("{0}", word).split("\n")
    assert () == find_differences(TWO, LoadedMarks("\n".join(lines), (), (), True), FOUR)
    for number in range(3, 7):
        less = "\n".join(lines[:number] + lines[number + 1 :])
        assert 1 == len(find_differences(TWO, LoadedMarks(less, (), (), True), FOUR))


def test_what_another_backend_has_left_is_a_difference():
    both = LoadedMarks(TABLE.replace("{0}", "meta "), CHAIN, CHAIN, True)
    assert ("iptables sets marks, too, and nft is planned",) == find_differences(TWO, both, FOUR)
    chains = TWO._replace(backend="iptables")
    assert ("nft sets marks, too, and iptables is planned",) == find_differences(chains, both, FOUR)
    assert 2 == len(find_differences(None, both))
    script = loaded_marks.unload_script(*both.backends)
    assert "nft delete table inet symroute_nm" in script and "ip6tables -w -t mangle -X" in script


def test_links_are_found_in_any_listing():
    assert {"eth0", "eth1"} == loaded_marks.marked_links("\n".join(("*mangle", *CHAIN, "COMMIT")))
    without = [each for each in CHAIN if "PREROUTING" not in each]
    assert set() == loaded_marks.marked_links("\n".join(without))


def test_how_often_and_in_which_order_counts_too():
    marking = TWO._replace(backend="iptables")

    def differences(lines):
        return find_differences(marking, LoadedMarks("", tuple(lines), (), True), FOUR)

    head, jump, *rules = CHAIN
    placed = "-I PREROUTING 1 -j symroute_nm"
    assert () == differences([head, placed, *rules])
    assert ("iptables: 2 jumps from PREROUTING lead to our chain symroute_nm",) == differences(
        [head, placed, placed, *rules]
    )
    assert ("iptables: twice: connections from eth0 get 0x64/0x7f",) == differences(
        [head, jump, *rules, rules[0]]
    )
    assert ("iptables: its rules stand in another order",) == differences(
        [head, jump, rules[1], rules[0], *rules[2:]]
    )
    # firewalld has a jump of its own, from direct.xml.
    assert () == differences([head, jump, "-A PREROUTING_direct -j symroute_nm", *rules])
    two = LoadedMarks("", (head, placed, placed, *rules))
    assert "iptables -w -t mangle -D PREROUTING -j symroute_nm\n" == end_repeated_jumps(two)
    assert "" == end_repeated_jumps(LoadedMarks("", CHAIN))
