"""A diagnosis as lines for people and as JSON's types; `cli` prints it."""

from typing import Any, Dict, Iterator, List

from symroute_nm.diagnosis.diagnose import Astray, Diagnosis, Outcome
from symroute_nm.model.finding import ERROR, Finding
from symroute_nm.model.iproute2 import format_route, format_rule
from symroute_nm.rpdb.symmetry import describe_failure

# Where one of these makes replies go astray, the files are right and the kernel is not.
_IN_KERNEL_ALONE = {"missing-rules", "routes-missing", "stale-routes", "leaked-rules"}


def as_json(diagnosis: Diagnosis) -> Dict[str, Any]:
    """{"symmetric": bool, "addresses": […], "findings": [{"code", "severity", …}]}."""
    return {
        "symmetric": diagnosis.symmetric,
        "addresses": [
            {
                "address": str(outcome.address.ip),
                "link": outcome.address.link,
                "symmetric": outcome.symmetric,
                "rp_filter": outcome.rp_filter,
                "failures": [_astray(outcome, failed) for failed in outcome.astray],
            }
            for outcome in diagnosis.outcomes
        ],
        "findings": [finding._asdict() for finding in diagnosis.findings],
    }


def _astray(outcome: Outcome, astray: Astray) -> Dict[str, Any]:
    failure = astray.failure
    decision = failure.decision
    # Of several ways out, one that is wrong.
    hops = sorted(decision.hops, key=lambda hop: hop.link == outcome.address.link)
    hop = hops[0] if hops and decision.type == "unicast" else None
    rule, route = decision.rule, decision.route
    return {
        "destination": str(failure.destination),
        "ranges": failure.classes,
        "type": decision.type,
        "leaves_by": hop.link if hop else None,
        "gateway": str(hop.gateway) if hop and hop.gateway else None,
        "rule": f"{rule.priority}: {format_rule(rule)}" if rule else None,
        "route": format_route(route) if route else None,
        "dropped_on_arrival": astray.dropped,
        "message": describe_failure(failure),
    }


def lines(diagnosis: Diagnosis) -> List[str]:
    """A line for each address, what fails below it, and then the findings."""
    text: List[str] = []
    for outcome in diagnosis.outcomes:
        text += _outcome(outcome)
    if not diagnosis.outcomes:
        text.append("fewer than two uplinks in any family: replies have one way out")
    if not diagnosis.symmetric and not any(map(_is_in_kernel_alone, diagnosis.findings)):
        text += ["", "to cure it: symroute-nm generate (first with --dry-run)"]
    for finding in diagnosis.findings:
        text += ["", *_finding(finding)]
    return text


def _is_in_kernel_alone(finding: Finding) -> bool:
    return finding.severity == ERROR and finding.code in _IN_KERNEL_ALONE


def _outcome(outcome: Outcome) -> Iterator[str]:
    word = "symmetric" if outcome.symmetric else "asymmetric"
    yield f"{outcome.address.ip} ({outcome.address.link}): {word}"
    for reply in outcome.astray:
        yield f"  {describe_failure(reply.failure)}"
        if reply.dropped:
            by = "firewalld's IPv6_rpfilter" if outcome.rp_filter is None else "rp_filter"
            yield f"  such requests do not even get in: {by} drops them"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.severity}: {finding.message} [{finding.code}]"
    yield from (f"  {line}" for line in finding.remedy.split("\n") if line)
