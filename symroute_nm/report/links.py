"""Uplinks' gateways and skipped links, as `inspect` and `generate` both show them."""

from typing import Any, Dict, Iterable, List, Tuple

from symroute_nm.model.plan import Skip, Uplink

_MOST_LINKS = 8  # of one reason, that are named


def gateways_json(uplink: Uplink) -> List[Dict[str, Any]]:
    """The ways out for programs: [{"version", "address", "origin"}]."""
    return [
        {
            "version": gateway.version,
            "address": str(gateway.address) if gateway.address else None,
            "origin": gateway.origin,
        }
        for gateway in uplink.gateways
    ]


def skips_json(skips: Iterable[Skip]) -> List[Dict[str, str]]:
    """The skips for programs: [{"link", "reason"}]."""
    return [{"link": skip.link, "reason": skip.reason} for skip in skips]


def skip_lines(skips: Iterable[Skip]) -> List[str]:
    """The skips as lines of text."""
    return [f"skipped {links}: {reason}" for links, reason in group_skips(skips)]


def group_skips(skips: Iterable[Skip]) -> List[Tuple[str, str]]:
    """The skips as (links, reason), links of one reason together."""
    groups: Dict[str, List[str]] = {}
    for skip in skips:
        groups.setdefault(skip.reason, []).append(skip.link)
    return [(_shorten(links), reason) for reason, links in groups.items()]


def _shorten(links: List[str]) -> str:
    more = len(links) - _MOST_LINKS
    named = ", ".join(links[:_MOST_LINKS])
    return f"{named} and {more} more" if more > 0 else named
