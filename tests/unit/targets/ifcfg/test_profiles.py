"""By which profile each uplink is configured, and why it may be none."""

import pytest

from support.golden.cases import ADMINS, BY_ETH0, BY_ETH1, USERS
from support.hosts import ETH0, ETH1, host, link, one_link, two_uplinks
from symroute_nm.errors import Refusal
from symroute_nm.model.profiles import Profile
from symroute_nm.model.settings import InterfaceSettings, Settings
from symroute_nm.plan.uplinks import find_uplinks
from symroute_nm.targets.ifcfg.profiles import find_profile, name_profiles

PROFILE = Profile("eth0", id="System eth0", device="eth0")


@pytest.mark.parametrize(
    ("profiles", "words"),
    [
        (
            (),
            ["eth0: no ifcfg profile", "nmcli connection migrate", "ifcfg-eth0", "--exclude eth0"],
        ),
        ((PROFILE, Profile("b", device="eth0")), ["b, eth0 all fit", "[interface eth0]"]),
        (
            (PROFILE._replace(name="Wired connection 1"),),
            ["'Wired connection 1'", "rename the file to ifcfg-eth0"],
        ),
        ((PROFILE._replace(name="a*"),), ["'a*'"]),
        ((PROFILE._replace(name="eth0\n"),), [r"'eth0\n'"]),
        ((PROFILE._replace(name="-rf"),), ["'-rf'"]),
        ((PROFILE._replace(name="../x"),), ["'../x'"]),
        (
            (PROFILE._replace(problem="BOOTPROTO=x is unknown"),),
            ["ifcfg-eth0: BOOTPROTO=x", "mend"],
        ),
        ((PROFILE._replace(managed=False),), ["NM_CONTROLLED=no", "remove that line"]),
        ((PROFILE._replace(rules=True),), ["ROUTING_RULE", "rule-eth0"]),
    ],
)
def test_profiles_whose_files_would_not_be_applied(profiles, words):
    with pytest.raises(Refusal) as error:
        find_profile(one_link(profiles=profiles), Settings(), ETH0)
    assert [] == [word for word in words if word not in str(error.value)]


def test_network_service_applies_what_networkmanager_leaves():
    profile = PROFILE._replace(managed=False)
    assert profile == find_profile(
        one_link(profiles=(profile,), network_service=True), Settings(), ETH0
    )


@pytest.mark.parametrize("name", ["a*b", "$(x)", "-rf", "eth0;x", "éth0", "eth0\n", "a b", ""])
def test_links_that_the_dispatcher_script_cannot_take(name):
    with pytest.raises(Refusal, match="dispatcher script"):
        find_profile(one_link(name), Settings(), link(2, name))


def test_the_configurations_profile_wins():
    profiles = (PROFILE, Profile("b", device="eth0"))
    settings = Settings(interface={"eth0": InterfaceSettings(profile="b")})
    assert "b" == find_profile(one_link(profiles=profiles), settings, ETH0).name
    missing = Settings(interface={"eth0": InterfaceSettings(profile="c")})
    with pytest.raises(Refusal, match=r"there is no profile .*ifcfg-c"):
        find_profile(one_link(profiles=profiles), missing, ETH0)


def test_all_that_is_wrong_is_said_at_once():
    made = host([ETH0, ETH1], [USERS, ADMINS], [BY_ETH0, BY_ETH1], profiles=())
    with pytest.raises(Refusal) as error:
        name_profiles(made, Settings(), find_uplinks(made, Settings()).uplinks)
    assert ["eth0", "eth1"] == [line[:4] for line in str(error.value).splitlines()]


def test_two_links_cannot_share_a_profile():
    both = Profile("any", hwaddr=ETH0.mac)
    made = host(
        [ETH0, ETH1._replace(mac=ETH0.mac, permanent_mac=ETH0.mac)],
        [USERS, ADMINS],
        [BY_ETH0, BY_ETH1],
        profiles=(both,),
    )
    with pytest.raises(Refusal, match="eth0 and eth1: both use the profile any"):
        name_profiles(made, Settings(), find_uplinks(made, Settings()).uplinks)


def test_a_profile_named_after_another_link_is_refused():
    made = two_uplinks(profiles=(Profile("eth0", device="eth1"), Profile("eth1", device="eth0")))
    uplinks = find_uplinks(made, Settings()).uplinks

    with pytest.raises(Refusal, match="eth0: its profile ifcfg-eth1 is named after another link"):
        name_profiles(made, Settings(), uplinks)


def test_a_profile_of_another_card_is_named_in_the_refusal():
    made = one_link(profiles=(Profile("eth0", device="eth0", hwaddr="52:54:00:00:00:99"),))

    with pytest.raises(Refusal, match="HWADDR=52:54:00:00:00:99 is not its address"):
        find_profile(made, Settings(), made.links[1])


def test_a_card_that_its_profile_knows_by_another_name_is_told_of_it():
    bound = Profile("eth1", device="eth1", hwaddr="52:54:00:00:00:02")
    made = one_link("ens4", profiles=(bound,))

    with pytest.raises(Refusal, match=r"ifcfg-eth1 has its HWADDR, .* \(then: DEVICE=ens4\)"):
        find_profile(made, Settings(), made.links[1])
    # A VLAN wears the address of the card that it is on, which has its profile.
    there = made._replace(links=(*made.links, link(3, "eth1")))
    with pytest.raises(Refusal, match="no ifcfg profile has it"):
        find_profile(there, Settings(), there.links[1])
