"""The two-uplink host whose kernel is changed on trial."""

import pytest

from support.network.namespaces import two_uplinks
from support.network.trials import SCRIPTS


@pytest.fixture
def root(own_folder):
    """A root with the profiles of the two uplinks."""
    folder = own_folder / "root"
    (folder / SCRIPTS).mkdir(parents=True)
    (folder / "etc/iproute2/rt_tables.d").mkdir(parents=True)
    for name in ("eth0", "eth1"):
        (folder / SCRIPTS / ("ifcfg-" + name)).write_text(f"DEVICE={name}\nTYPE=Ethernet\n")
    return folder


@pytest.fixture
def space(namespace):
    """The namespace with the two-uplink host in it, and a bridge for containers."""
    two_uplinks(namespace)
    namespace.ip("""
        link add docker0 type bridge
        addr add 172.17.0.1/16 dev docker0
        link set docker0 up""")
    return namespace
