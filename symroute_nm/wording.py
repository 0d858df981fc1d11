"""Rules, routes and networks as `ip` writes them (pure)."""

import shlex
from typing import Sequence, Union

from symroute_nm.model import TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN, Hop, Route, Rule

# iproute2 knows these without any file.
FAMILY_OPTION = {4: "", 6: "-6 "}  # of the command `ip`, before its object
_KERNEL_TABLES = {TABLE_DEFAULT: "default", TABLE_MAIN: "main", TABLE_LOCAL: "local"}
MOST_SHOWN = 3


def some(words: Sequence[str], number: int = 0) -> str:
    """The first few, and how many more; `number` is of all, where these are not all."""
    shown = list(words[:MOST_SHOWN])
    more = max(len(words), number) - len(shown)
    if more:
        shown.append("and %d more" % more)
    return ", ".join(shown)


def describe_rule(rule: Rule) -> str:
    """The rule as `ip rule` writes it, without its priority."""
    words = ["not"] if rule.invert else []
    words += ["from", str(rule.source) if rule.source else "all"]
    words += ["to", str(rule.destination)] if rule.destination else []
    words += ["tos", "0x%02x" % rule.tos] if rule.tos else []
    words += ["fwmark", "0x%x/0x%x" % (rule.mark, rule.mask)] if rule.mask else []
    words += ["iif", rule.iif] if rule.iif else []
    words += ["oif", rule.oif] if rule.oif else []
    words += list(rule.opaque)
    table = _KERNEL_TABLES.get(rule.table, str(rule.table))
    action = {"lookup": "lookup %s" % table, "goto": "goto %d" % rule.target}
    words.append("lookup [l3mdev-table]" if rule.l3mdev else action.get(rule.action, rule.action))
    if rule.suppress_prefixlength is not None:
        words.append("suppress_prefixlength %d" % rule.suppress_prefixlength)
    return " ".join(words)


def delete_rule(rule: Rule) -> str:
    """The command that deletes a rule from the kernel."""
    # A link's name may hold what a shell would act on, but no blank (dev_valid_name).
    words = map(shlex.quote, describe_rule(rule).split())
    return "ip %srule del priority %d %s" % (
        FAMILY_OPTION[rule.version], rule.priority, " ".join(words))


def describe_route(route: Route) -> str:
    """The route as `ip route` writes it, with its table."""
    words = [] if route.type == "unicast" else [route.type]
    words.append("default" if route.default else str(route.destination))
    words += [describe_hop(each) for each in route.hops]
    words += ["table", str(route.table)]
    words += ["metric", str(route.metric)] if route.metric else []
    return " ".join(words)


def describe_item(item: Union[Rule, Route]) -> str:
    """``IPv4 rule 20000: from …``, ``route 10.0.5.0/24 …``."""
    if isinstance(item, Rule):
        return "IPv%d rule %d: %s" % (item.version, item.priority, describe_rule(item))
    return "route %s" % describe_route(item)


def describe_hop(hop: Hop) -> str:
    """``via GATEWAY dev LINK``."""
    words = ["via", str(hop.gateway)] if hop.gateway else []
    words += ["dev", hop.link] if hop.link else []
    return " ".join(words + (["onlink"] if hop.onlink else []))
