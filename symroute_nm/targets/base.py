"""Where a plan is kept for the next boot: one folder a target, one interface (``base``).

Imports model and files; touches the disk through files.
"""

import abc
import importlib
import shlex
from pathlib import Path
from typing import FrozenSet, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.files.changes import Change
from symroute_nm.model.finding import Finding
from symroute_nm.model.host import Host
from symroute_nm.model.listing import Files, ListedRule
from symroute_nm.model.network import Link, Rule
from symroute_nm.model.observations import ConfigFile, Observations
from symroute_nm.model.plan import OwnTable, Plan, Uplink
from symroute_nm.model.profiles import Profile, profiles_for
from symroute_nm.model.settings import Settings


class Obstacle(NamedTuple):
    """Why nothing would apply what a target writes, and what helps; `code` is a finding's."""

    code: str
    reason: str
    remedy: str


class EarlierBlocks(NamedTuple):
    """Blocks of earlier runs that a plan does not write: paths whose block goes, or stays.

    `tables` are the names that stay with those.
    """

    gone: Tuple[str, ...] = ()
    kept: Tuple[str, ...] = ()
    tables: Tuple[OwnTable, ...] = ()


class Draft(NamedTuple):
    """The changes to files that a plan asks for, and what it leaves of earlier runs."""

    changes: Tuple[Change, ...]
    earlier: EarlierBlocks


class DraftOptions(NamedTuple):
    """`prune`: blocks go that are not planned now. `convert`: files may be rewritten in our form."""

    prune: bool = False
    convert: bool = False


class SleepingRules(NamedTuple):
    """Rules that files list and the kernel has not, and what a person should know of them."""

    rules: Tuple[Rule, ...] = ()
    notes: Tuple[str, ...] = ()


class Check(NamedTuple):
    """What a draft does to the administrator's own lines.

    `problems` are lines that would be applied otherwise than now: refused unless forced.
    `warnings` are lines that come into force beside ours, `flaws` lines that can never work.
    """

    problems: Tuple[str, ...] = ()
    remedy: str = ""
    warnings: Tuple[str, ...] = ()
    flaws: Tuple[str, ...] = ()
    sleeping: SleepingRules = SleepingRules()


class Inspected(NamedTuple):
    """What a target looks for findings in: the host, its uplinks, and the rules in its files."""

    host: Host
    settings: Settings
    uplinks: Tuple[Uplink, ...]
    listed: Tuple[ListedRule, ...]
    asymmetric_links: FrozenSet[str]

    @property
    def evidence(self) -> Observations:
        """What was read for the diagnosis; nothing where it was not."""
        return self.host.evidence or Observations()

    @property
    def files(self) -> Tuple[ConfigFile, ...]:
        """The route and rule files."""
        return self.evidence.files


class Target(abc.ABC):
    """One way to keep a plan; methods that take a root read below it, and none of them writes."""

    name: str
    folders: Tuple[str, ...]  # below a root, in which its files stand

    @abc.abstractmethod
    def find_obstacle(self, host: Host) -> Optional[Obstacle]:
        """Why nothing would apply what is written; None where something does."""

    @abc.abstractmethod
    def bind(self, host: Host, settings: Settings, uplinks: Sequence[Uplink]) -> Tuple[Uplink, ...]:
        """The uplinks with their profiles; raises one `Refusal` that tells all that is wrong."""

    @abc.abstractmethod
    def find_profile(self, host: Host, settings: Settings, link: Link) -> Profile:
        """The profile that the link's lines are kept with; raises `Refusal` with what to do."""

    @abc.abstractmethod
    def find_owned(self, root: Path) -> Tuple[str, ...]:
        """The paths of all files below `root` that hold a block of ours; `SystemFailure`."""

    @abc.abstractmethod
    def read_earlier(self, root: Path, host: Host, owned: Iterable[str]) -> Files:
        """What our blocks in the files of `find_owned` list; raises `SymrouteError`."""

    @abc.abstractmethod
    def sort_stored(self, files: Iterable[ConfigFile], host: Host) -> Files:
        """The rules and routes in these files: ours, foreign; `Refusal` for a damaged block."""

    @abc.abstractmethod
    def list_rules(self, files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRule, ...]:
        """All rules in these files, in order; lines that are not understood are left out."""

    @abc.abstractmethod
    def draft(
        self, root: Path, host: Host, plan: Plan, owned: Sequence[str], options: DraftOptions
    ) -> Draft:
        """The changes below `root` that the plan asks for; raises `SymrouteError`.

        `owned` are the files of `find_owned`.
        """

    @abc.abstractmethod
    def draft_removal(self, root: Path) -> Tuple[Change, ...]:
        """The changes below `root` that take every block of ours away; raises `SymrouteError`."""

    @abc.abstractmethod
    def check(self, root: Path, host: Host, plan: Plan, changes: Sequence[Change]) -> Check:
        """What the changes do to the administrator's lines; raises `SymrouteError`."""

    @abc.abstractmethod
    def find_findings(self, inspected: Inspected) -> Iterable[Iterator[Finding]]:
        """What stands in the way of what is kept, one iterator for each thing looked for."""

    @abc.abstractmethod
    def notes_on_earlier(self, earlier: EarlierBlocks) -> List[str]:
        """What is said about blocks of earlier runs that stay."""

    @abc.abstractmethod
    def profile_of(self, path: str) -> str:
        """The profile that a file belongs to; "" for other files."""


def choose_target(name: str = "ifcfg") -> Target:
    """The target of that name: the only place that knows which there are."""
    # The name is built, so that a command that needs none of them loads none.
    module = importlib.import_module(f"symroute_nm.targets.{name}.target")
    target: Target = module.TARGET
    return target


def bring_up(profile: Profile) -> str:
    """The command that has NetworkManager apply a profile and its files again."""
    return f"nmcli connection up {shlex.quote(profile.id or profile.name)}"


def bring_up_link(host: Host, link: Link) -> str:
    """The command for the link's profile, or for the device where none is known."""
    profiles = profiles_for(link, host.profiles)
    if profiles:
        return bring_up(profiles[0])
    return f"nmcli device connect {shlex.quote(link.name)}"


def with_rules(host: Host, plan: Plan, rules: Iterable[Rule]) -> Host:
    """The host with these rules in force; those without a priority come first, at worst.

    fib_default_rule_pref() in net/core/fib_rules.c: one less than the lowest there is.
    """
    taken = [rule.priority for rule in host.rules if rule.priority]
    taken += [rule.priority for planned in plan.uplinks for rule in planned.rules]
    lowest = min(taken, default=1)
    added: List[Rule] = []
    for rule in rules:
        lowest = lowest if rule.priority else max(1, lowest - 1)
        added.append(rule if rule.priority else rule._replace(priority=lowest))
    ordered = sorted((*host.rules, *added), key=lambda rule: (rule.version, rule.priority))
    return host._replace(rules=tuple(ordered))
