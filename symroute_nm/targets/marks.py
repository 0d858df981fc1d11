"""What sets the marks of connections at boot: a dispatcher script, a sysctl, direct rules."""

from typing import Dict

from symroute_nm.model.marking import DIRECT, NAME, SCRIPT, SYSCTL, Marking, planned_rules
from symroute_nm.rendering import load_templates


def render_marking(marking: Marking) -> Dict[str, str]:
    """The script, the sysctl and, for firewalld, our part of direct.xml: {path: text}."""
    templates = load_templates(
        "marks", "dispatcher", "nft", "iptables", "matches", "sysctl", "direct"
    )
    planned = planned_rules(marking)
    matches = templates["matches"].render(rules=planned).splitlines()
    nft = marking.backend == "nft"
    rules = (
        templates["nft"].render(name=NAME, rules=planned)
        if nft
        else templates["iptables"].render(name=NAME, rules=matches)
    )
    texts = {
        SCRIPT: templates["dispatcher"].render(name=NAME, backend=marking.backend, rules=rules),
        SYSCTL: templates["sysctl"].render(),
    }
    if marking.backend == "firewalld":
        texts[DIRECT] = templates["direct"].render(name=NAME, rules=matches)
    return texts


def render_script(marking: Marking) -> str:
    """The script that sets the marks up."""
    return render_marking(marking)[SCRIPT]
