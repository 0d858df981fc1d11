"""What the commands say, as text, as rich tables and as JSON's types; `cli` prints it."""

from typing import Any, Dict, Iterator, List, Sequence, Tuple

from symroute_nm.model.plan import Skip
from symroute_nm.report.results import group_skips

_MOST_NETWORKS = 8  # of a link, that are shown to people


def inspection_tables(found: Dict[str, Any]) -> List[Any]:
    """The inspection as rich tables and lines for people."""
    uplinks = _table("Uplinks", "uplink", "profile", "addresses", "ways out")
    for each in found["uplinks"]:
        uplinks.add_row(
            _safe(each["link"]),
            _safe(each["profile"] or f"none: {each['problem']}"),
            "\n".join([*each["addresses"], *(f"{ip} (awaited)" for ip in each["awaited"])]),
            "\n".join(
                f"{way['address'] or 'on the link'}: {_safe(way['origin'])}"
                for way in each["gateways"]
            ),
        )
    internal = _table("Internal networks", "network", "by")
    for network, link in _shorten(found["internal"]):
        internal.add_row(network, _safe(link or "no link"))
    skipped = _table("Other links", "link", "why it gets no table of its own")
    for links, reason in group_skips(Skip(**each) for each in found["skipped"]):
        skipped.add_row(_safe(links), _safe(reason))
    rules = _table("Rules besides the kernel's", "IP", "priority", "rule", "ours")
    for each in found["rules"]:
        rules.add_row(
            str(each["version"]),
            str(each["priority"]),
            _safe(each["rule"]),
            "yes" if each["ours"] else "no",
        )
    tables = _table("Tables", "id", "name", "from")
    for each in found["tables"]:
        tables.add_row(str(each["id"]), _safe(each["name"]), _safe(each["path"]))
    for each in found["unnamed"]:
        tables.add_row(
            str(each["id"]),
            "",
            f"no name: {each['routes']} routes, {each['rules']} rules in the kernel",
        )
    return [uplinks, internal, skipped, rules, tables, *_facts(found)]


def _shorten(internal: Sequence[Dict[str, str]]) -> Iterator[Tuple[str, str]]:
    """Each link's first networks, and how many more: a node's bridge has thousands."""
    by_link: Dict[str, List[str]] = {}
    for each in internal:
        by_link.setdefault(each["link"], []).append(each["network"])
    for link, networks in by_link.items():
        yield from ((network, link) for network in networks[:_MOST_NETWORKS])
        if len(networks) > _MOST_NETWORKS:
            yield f"and {len(networks) - _MOST_NETWORKS} more (--json has all)", link


def _table(title: str, *columns: str) -> Any:
    """A table that cuts nothing off: half an address would be a wrong one."""
    from rich.table import Column, Table  # for people's tables only: --json does without

    return Table(*(Column(column, overflow="fold") for column in columns), title=title)


def _facts(found: Dict[str, Any]) -> List[str]:
    script = found["dispatcher"] or "not found: rule files would not be applied"
    if found["network_service"]:
        script += " (network.service is enabled and applies the files, too)"
    return [
        f"guard: {found['guard']['name']} ({found['guard']['reason']})",
        f"dispatcher script: {_safe(script)}",
    ]


def _safe(text: str) -> str:
    """Neither rich's markup nor a terminal's control characters."""
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
    return shown.replace("[", "\\[")
