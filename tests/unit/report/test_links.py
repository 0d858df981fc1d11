"""How links are told that are no uplinks."""

from symroute_nm.model.plan import Skip
from symroute_nm.report import links


def test_links_of_one_reason_stand_together():
    skips = [Skip(f"veth{number}", "port of docker0") for number in range(10)]
    lines = links.skip_lines([Skip("lo", "loopback"), *skips])
    assert [
        "skipped lo: loopback",
        "skipped veth0, veth1, veth2, veth3, veth4, veth5, veth6, veth7 and 2 more: "
        "port of docker0",
    ] == lines
