"""One packet's walk through the rules, for people and for programs."""

from typing import Any, Dict, List

from symroute_nm.diagnosis.explain import Explanation
from symroute_nm.model.iproute2 import format_hop, format_route, format_rule
from symroute_nm.rpdb.decision import Decision


def as_json(explained: Explanation) -> Dict[str, Any]:
    """{"marked_by", "decision": {"type", "device", "gateway", "table", …}, "trace": […]}."""
    decision = explained.decision
    unicast = decision.type == "unicast" and decision.hops
    first = decision.hops[0] if unicast else None
    return {
        "marked_by": explained.marked_by or None,
        "decision": {
            "type": decision.type,
            "device": first.link if first else None,
            "gateway": str(first.gateway) if first and first.gateway else None,
            "table": decision.table,
            "priority": decision.priority,
            "hops": [
                {"device": hop.link, "gateway": str(hop.gateway) if hop.gateway else None}
                for hop in decision.hops
            ],
            "doubts": [str(doubt) for doubt in decision.doubts],
        },
        "trace": [
            {
                "priority": step.rule.priority,
                "rule": format_rule(step.rule),
                "outcome": step.outcome,
                "decided": step.decided,
            }
            for step in explained.steps
        ],
    }


def lines(explained: Explanation) -> List[str]:
    """The walk, a line for each rule tried, and the decision last."""
    packet, decision = explained.packet, explained.decision
    words = ["from", str(packet.source or "any"), "to", str(packet.destination)]
    words += ["iif", packet.iif] if packet.iif else []
    words += ["mark", hex(packet.mark)] if packet.mark else []
    words += [f"(of what came in by {explained.marked_by})"] if explained.marked_by else []
    words += ["(as after generate)"] if explained.planned else []
    heading = f"{' '.join(words)}:"
    steps = [
        f"{step.rule.priority:7}  {format_rule(step.rule)}: {step.outcome}"
        for step in explained.steps
    ]
    doubts = [f"in doubt: {doubt}" for doubt in decision.doubts]
    return [heading, *steps, *doubts, f"=> {_conclude(decision)}"]


def _conclude(decision: Decision) -> str:
    if decision.type == "local":
        return "delivered on this host"
    if decision.type != "unicast":
        return f"dropped ({decision.type})"
    way = " or ".join(format_hop(hop) for hop in decision.hops)
    route = f" (route {format_route(decision.route)})" if decision.route else ""
    return f"leaves {way}{route}"
