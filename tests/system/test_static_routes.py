"""Static routes as the kernel takes them."""

from support.network.namespaces import two_uplinks
from support.static_routes import LINES


def test_ip_and_the_kernel_agree(namespace):
    two_uplinks(namespace)
    taken = {}
    for line in (each for each, _ in LINES if each.strip() and each[0] != "#"):
        family = "-6" if ":" in line else "-4"
        words = ["ip", family, "route", "add", *line.split(" ")]
        taken[line] = namespace.run(words).returncode == 0
        namespace.run(["ip", family, "route", "del", *line.split(" ")])
    # Those go elsewhere: to another link, or before all other defaults.
    differ = [line for line, fault in LINES if fault.startswith(("names dev eth1", "is a default"))]
    expected = {line: not fault or line in differ for line, fault in LINES if line in taken}
    assert expected["192.168.0.0/16 dev eth1"]
    assert expected == taken


def test_of_two_routes_without_a_metric_the_kernel_takes_the_first(namespace):
    two_uplinks(namespace)
    add = ["ip", "route", "add", "192.168.0.0/16", "dev"]
    assert [True, False] == [
        namespace.run([*add, link]).returncode == 0 for link in ("eth0", "eth1")
    ]
    assert namespace.run([*add, "eth1", "metric", "5"]).returncode == 0
