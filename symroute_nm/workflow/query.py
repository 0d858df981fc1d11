"""What `diagnose`, `snapshot` and `explain` find out; they change nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Iterator, NamedTuple, Optional

from symroute_nm.model.settings import Settings
from symroute_nm.readers.host import read_host
from symroute_nm.workflow.pending import is_on_trial

if TYPE_CHECKING:
    from symroute_nm.diagnosis.diagnose import Diagnosis
    from symroute_nm.diagnosis.explain import Explanation


class Question(NamedTuple):
    """A packet as the command line names it, and whether it is asked of the plan."""

    source: str
    destination: str
    iif: str = ""
    mark: str = "0"
    planned: bool = False


def diagnose(root: Path, host_file: Optional[Path], settings: Settings) -> "Diagnosis":
    """How the addresses fare, and why; raises `SymrouteError`."""
    from symroute_nm.diagnosis import diagnose
    from symroute_nm.diagnosis.own_rules import LEAKED_RULES

    host = read_host(root, host_file, probe=False, evidence=True)
    found = diagnose.diagnose(host, settings)
    if is_on_trial(host_file):  # what no file lists is about to be kept, or taken back
        lasting = tuple(finding for finding in found.findings if finding.code != LEAKED_RULES)
        found = found._replace(findings=lasting)
    return found


def take_snapshot(root: Path) -> Iterator[str]:
    """This host as JSON, piece by piece; raises `SymrouteError`."""
    from symroute_nm.readers.snapshot import dump_parts

    return dump_parts(read_host(root, None, evidence=True))


def explain(
    root: Path, host_file: Optional[Path], settings: Settings, question: Question
) -> "Explanation":
    """The packet's walk through rules and tables; raises `SymrouteError`."""
    from symroute_nm.diagnosis import explain
    from symroute_nm.plan.planner import make_plan
    from symroute_nm.targets.base import choose_target

    host = read_host(root, host_file, probe=question.planned and settings.guard == "auto")
    packet = explain.parse_packet(
        host, question.source, question.destination, question.iif, question.mark
    )
    plan = make_plan(host, settings, choose_target().bind) if question.planned else None
    return explain.explain(host, settings, packet, plan)
