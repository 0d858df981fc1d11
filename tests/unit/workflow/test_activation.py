"""What is to be done by hand so that what was written is in force."""

from support.hosts import two_uplinks
from symroute_nm.model.settings import GenerateOptions, Settings
from symroute_nm.workflow.activation import find_commands
from symroute_nm.workflow.commit import install_changes
from symroute_nm.workflow.proposal import propose


def test_chains_go_when_the_script_comes_to_use_nft(tmp_path):
    marked = Settings(forwarded=True)

    def write(*firewalls):
        host = two_uplinks(firewalls=firewalls)
        made = propose(tmp_path, host, marked, GenerateOptions())
        install_changes(tmp_path, made.changes, print, everything=False)
        return [command.text for command in find_commands(host, marked, made, None)]

    assert not any("symroute_nm" in text for text in write("iptables"))
    assert "ip6tables -w -t mangle -X symroute_nm" in write("iptables", "nft")
    assert "nft delete table inet symroute_nm" in write("iptables")
    assert not any("symroute_nm" in text for text in write("iptables"))
