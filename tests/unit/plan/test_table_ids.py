"""Names and ids of tables: what iproute2 reads, and who gets which."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symroute_nm.errors import InputError, Refusal, SymrouteError
from symroute_nm.model.host import TableName
from symroute_nm.model.ours import our_tables
from symroute_nm.model.plan import OwnTable
from symroute_nm.model.settings import LARGEST_ID, TableChoice, check_choice
from symroute_nm.plan.table_ids import NEW_IDS, allocate_tables

RESERVED = (0, 253, 254, 255)
LINKS = ("eth0", "eth1", "eth2")


@pytest.mark.parametrize("number", [*RESERVED[1:], LARGEST_ID + 1, -1])
def test_reserved_ids_cannot_be_chosen(number):
    with pytest.raises(InputError, match=f"eth0: {number} "):
        check_choice("eth0", TableChoice(id=number))


@pytest.mark.parametrize(
    "name",
    [
        "main",
        "local",
        "default",
        "unspec",
        "all",
        "cache",
        "12",
        "0x1f",
        "a b",
        "a*",
        "é",
        "a\n",
        "\n",
        "x" * 64,
        "$(id)",
    ],
)
def test_names_that_ip_or_the_shell_would_misread_cannot_be_chosen(name):
    with pytest.raises(InputError, match="eth0"):
        check_choice("eth0", TableChoice(name=name))


def test_new_ids_are_the_lowest_free_in_order_of_name():
    found = allocate_tables(["eth2", "eth0", "eth1"], {}, [TableName(101, "foo")], {100, 103})
    assert {"eth0": 102, "eth1": 104, "eth2": 105} == {
        link: table.id for link, table in found.items()
    }


def test_ids_are_kept_by_name_from_our_own_block():
    owned = [TableName(105, "eth0", owned=True), TableName(100, "eth1", owned=True)]
    found = allocate_tables(LINKS, {}, owned, {100, 105})
    assert [OwnTable(105, "eth0"), OwnTable(100, "eth1"), OwnTable(101, "eth2")] == [
        found[link] for link in LINKS
    ]


def test_a_new_link_takes_no_id_that_another_keeps():
    owned = [TableName(100, "eth1", owned=True)]
    assert 101 == allocate_tables(["eth0", "eth1"], {}, owned, set())["eth0"].id


def test_a_chosen_id_is_taken_from_whoever_kept_it():
    owned = [TableName(100, "eth0", owned=True)]
    found = allocate_tables(["eth0", "eth1"], {"eth1": TableChoice(id=100)}, owned, set())
    assert (OwnTable(101, "eth0"), OwnTable(100, "eth1")) == (found["eth0"], found["eth1"])


def test_a_name_of_the_administrators_keeps_its_id_and_is_not_ours_to_give():
    choices = {"eth0": TableChoice("users")}
    found = allocate_tables(["eth0"], choices, [TableName(7, "users")], {7})
    assert OwnTable(7, "users", named=True) == found["eth0"]


def test_an_id_of_the_administrators_brings_its_name():
    found = allocate_tables(["eth0"], {"eth0": TableChoice(id=7)}, [TableName(7, "users")], {7})
    assert OwnTable(7, "users", named=True) == found["eth0"]


def test_a_table_named_otherwise_than_before_keeps_its_id():
    ours = [TableName(100, "eth0", owned=True), TableName(101, "eth1", owned=True)]
    theirs = [TableName(200, "eth0", "/etc/iproute2/rt_tables")]

    renamed = allocate_tables(["eth0", "eth1"], {"eth0": TableChoice("users")}, ours, {100, 101})
    assert {"eth0": OwnTable(100, "users"), "eth1": OwnTable(101, "eth1")} == renamed
    taken = allocate_tables(["eth0", "eth1"], {}, ours + theirs, {100, 101})
    assert {"eth0": OwnTable(100, "eth0-uplink"), "eth1": OwnTable(101, "eth1")} == taken


def test_a_link_that_was_renamed_keeps_its_id_unless_another_has_it():
    ours = [TableName(100, "eth0", owned=True), TableName(101, "eth1", owned=True)]

    renamed = allocate_tables(["ens4", "eth0"], {}, ours, {100, 101}, {"ens4": 101, "eth0": 100})
    assert {"ens4": OwnTable(101, "ens4"), "eth0": OwnTable(100, "eth0")} == renamed
    shifted = allocate_tables(["eth1", "eth2"], {}, ours, {100, 101}, {"eth1": 100, "eth2": 101})
    assert {"eth1": OwnTable(101, "eth1"), "eth2": OwnTable(102, "eth2")} == shifted
    foreign = allocate_tables(["ens4"], {}, [TableName(101, "theirs")], {101}, {"ens4": 101})
    assert {"ens4": OwnTable(100, "ens4")} == foreign


def test_a_name_of_two_tables_cannot_be_chosen():
    theirs = [
        TableName(2, "users", "/etc/iproute2/rt_tables"),
        TableName(201, "users", "/etc/iproute2/rt_tables.d/site.conf"),
    ]

    for choice in (TableChoice("users"), TableChoice("users", 2), TableChoice(id=201)):
        with pytest.raises(InputError, match=r"users is 2 in .*rt_tables and 201 in .*site\.conf"):
            allocate_tables(["eth0"], {"eth0": choice}, theirs, set())
    twice = [theirs[0], theirs[0]._replace(path="/etc/iproute2/rt_tables.d/site.conf")]
    assert 2 == allocate_tables(["eth0"], {"eth0": TableChoice("users")}, twice, set())["eth0"].id


def test_a_foreign_table_of_the_links_name_is_left_alone():
    found = allocate_tables(["eth0"], {}, [TableName(7, "eth0")], {7})
    assert OwnTable(100, "eth0-uplink") == found["eth0"]


@pytest.mark.parametrize(
    ("choices", "foreign"),
    [
        ({"eth0": TableChoice("users", 5)}, [TableName(7, "users")]),
        ({"eth0": TableChoice("users", 7)}, [TableName(7, "admins")]),
        ({"eth0": TableChoice(id=5), "eth1": TableChoice(id=5)}, []),
        ({"eth0": TableChoice("x"), "eth1": TableChoice("x")}, []),
        ({"eth0": TableChoice("eth1")}, []),
    ],
)
def test_what_cannot_be_had_is_refused(choices, foreign):
    with pytest.raises(InputError, match=r"eth[01]: table"):
        allocate_tables(["eth0", "eth1"], choices, foreign, set())


def test_no_free_id_says_how_to_go_on():
    with pytest.raises(Refusal, match="--table"):
        allocate_tables(["eth0"], {}, [], set(NEW_IDS))


ids = st.sampled_from([1, 7, 100, 101, 102, 103, 254])
words = st.sampled_from(["eth0", "eth1", "eth2", "users", "main"])


@given(
    st.lists(st.sampled_from(LINKS), unique=True),
    st.dictionaries(
        st.sampled_from(LINKS),
        st.builds(
            TableChoice,
            st.sampled_from(["", "users", "admins", "eth0"]),
            st.sampled_from([0, 7, 100, 101]),
        ),
    ),
    st.lists(
        st.builds(TableName, ids, words, owned=st.booleans()),
        unique_by=(lambda each: each.name, lambda each: each.id),
        max_size=4,
    ),
    st.sets(ids),
)
def test_each_link_gets_a_table_of_its_own_whatever_the_order(links, choices, known, used):
    def allocated(order, lines):
        try:
            return allocate_tables(order, choices, lines, used)
        except SymrouteError as error:
            return str(error)

    found = allocated(links, known)
    for order in itertools.permutations(links):
        assert found == allocated(order, known[::-1])
    if isinstance(found, str):
        return
    tables = list(found.values())
    assert len({each.id for each in tables}) == len({each.name for each in tables}) == len(links)
    assert not {each.id for each in tables} & set(RESERVED)
    kept = {each.name for each in known}
    ours = {each.name for each in known if each.owned}
    for link, table in found.items():
        # Named otherwise than before, it keeps its id.
        renamed = link in ours
        free = not choices.get(link, TableChoice()).id and table.name not in kept and not renamed
        assert not (free and table.id in used)


def test_a_name_that_would_break_a_line_never_gets_into_a_file():
    names = (TableName(5, "x\npriority 1 from all lookup 9", "/etc/iproute2/rt_tables"),)

    with pytest.raises(InputError, match="table 5 is already"):
        allocate_tables(["eth0"], {"eth0": TableChoice(id=5)}, names, frozenset())


def test_our_tables_are_those_of_our_block_and_of_the_users_choice():
    names = (
        TableName(100, "eth0", owned=True),
        TableName(2, "users", "/etc/iproute2/rt_tables"),
        TableName(9, "others", "/etc/iproute2/rt_tables"),
    )

    assert {100, 2, 7} == our_tables(names, [TableChoice("users"), TableChoice(id=7)])
    assert {100} == our_tables(names, [TableChoice(), TableChoice("unknown")])
