"""The administrator's static routes, which the real dispatcher script applies beside ours."""

import sys
from typing import List

from support.network.lab import PROFILES, Lab, broken, generate
from support.network.machine import NETWORK_SCRIPTS, TOOLS

REFUSED = 3
ROUTE = "{}/route-{}".format(NETWORK_SCRIPTS, PROFILES["eth0"])
RULE = "{}/rule-{}".format(NETWORK_SCRIPTS, PROFILES["eth0"])
STATIC = """# the branch office
10.77.0.0/16 via 10.0.6.7 dev eth0

  10.78.0.0/16 via 10.0.6.7
10.79.1.2 via 10.0.6.7 dev eth0 metric 7"""
ADDRESSES = """# the branch office
ADDRESS0=10.77.0.0
NETMASK0="255.255.0.0"  # as ever
GATEWAY0='10.0.6.7'

ADDRESS1=10.78.3.0
NETMASK1=255.255.255.0
ADDRESS2=10.79.1.2
NETMASK2=255.255.255.255
GATEWAY2=10.0.6.7
"""
# What RHEL's ipcalc prints for ``-p ADDRESS NETMASK``, of which the script takes the prefix.
IPCALC = f"""#!{sys.executable}
import ipaddress, sys
print("PREFIX=%d" % ipaddress.ip_network("0.0.0.0/" + sys.argv[3]).prefixlen)
"""


def static_routes(lab: Lab) -> List[str]:
    """Main's routes to the branch office, as ip-route(8) prints them."""
    shown = lab.run(["ip", "route", "show", "table", "main"]).stdout.splitlines()
    return sorted(line.strip() for line in shown if line.startswith("10.7"))


def applied_by_networkmanager(lab: Lab) -> None:
    """The routes of STATIC as they are without a rule file."""
    lab.ip(
        "srv",
        [
            f"route add {destination} via 10.0.6.7 dev eth0 proto static metric {metric}"
            for destination, metric in (
                ("10.77.0.0/16", 101),
                ("10.78.0.0/16", 101),
                ("10.79.1.2", 7),
            )
        ],
    )


def test_routes_in_ip_form_are_still_applied(plain: Lab) -> None:
    lab = plain
    lab.write(ROUTE, STATIC)
    lab.boot()
    assert [] == static_routes(lab)  # without a rule file that is NetworkManager's
    applied_by_networkmanager(lab)
    lab.ip("neighbour0", ["addr add 10.77.0.1/32 dev lo"])
    generate(lab)
    assert lab.path(ROUTE).read_text().startswith(STATIC + "\n# BEGIN symroute-nm")
    lab.boot()
    assert "" == lab.down_up()
    assert [
        "10.77.0.0/16 via 10.0.6.7 dev eth0",
        "10.78.0.0/16 via 10.0.6.7 dev eth0",
        "10.79.1.2 via 10.0.6.7 dev eth0 metric 7",
    ] == static_routes(lab)
    assert set() == broken(lab.flows())
    assert lab.run(["ping", "-c1", "-W1", "10.77.0.1"]).returncode == 0
    written = lab.files()
    generate(lab)
    assert written == lab.files()


def test_routes_in_addresses_form_are_refused_then_converted_to_what_the_script_made_of_them(
    plain: Lab,
) -> None:
    lab = plain
    lab.write(TOOLS + "/ipcalc", IPCALC)
    lab.path(TOOLS + "/ipcalc").chmod(0o755)
    lab.write(ROUTE, ADDRESSES)
    lab.write(RULE, "")
    assert "" == lab.boot()
    sourced = static_routes(lab)
    assert 3 == len(sourced)
    written = lab.files()
    ran = lab.symroute("generate")
    assert (REFUSED, True) == (ran.returncode, "--convert" in ran.stderr)
    assert written == lab.files()
    generate(lab, "--convert")
    lab.boot()
    assert "" == lab.down_up()
    assert sourced == static_routes(lab)
    assert set() == broken(lab.flows())
