"""The interface of a target: what each way to keep a plan for the next boot can do.

A target stands in a folder of its own beside this module, whose module ``target`` has the one
instance as `TARGET`. A new one needs nothing else to be found by `choose_target`.
"""

import abc
import importlib
import shlex
from pathlib import Path
from typing import (
    FrozenSet,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from symroute_nm.files.changes import Change
from symroute_nm.model.finding import Finding
from symroute_nm.model.host import Host
from symroute_nm.model.listing import Files, ListedRule
from symroute_nm.model.network import Link, Rule
from symroute_nm.model.observations import ConfigFile, Observations
from symroute_nm.model.plan import OwnTable, Plan, Uplink
from symroute_nm.model.profiles import Profile, profiles_for
from symroute_nm.model.settings import Settings
from symroute_nm.model.trial import Trial


class Obstacle(NamedTuple):
    """Why nothing would apply what a target writes, and what helps; `code` is a finding's."""

    code: str
    reason: str
    remedy: str


class EarlierBlocks(NamedTuple):
    """What becomes of blocks of earlier runs that a plan does not write.

    `gone` and `kept` are paths of files that lose or keep theirs; `tables` are the own tables whose
    names stay, since what is kept looks them up.
    """

    gone: Tuple[str, ...] = ()
    kept: Tuple[str, ...] = ()
    tables: Tuple[OwnTable, ...] = ()


class Draft(NamedTuple):
    """The changes to files that a plan asks for, and what becomes of blocks of earlier runs.

    A change whose file stays as it is (`Change.kind` "keep") is among them.
    """

    changes: Tuple[Change, ...]
    earlier: EarlierBlocks


class DraftOptions(NamedTuple):
    """What the user allows: `prune`, that all blocks go which are not planned now; `convert`, that
    the administrator's files are rewritten where ours cannot stand in them as they are.
    """

    prune: bool = False
    convert: bool = False


class SleepingRules(NamedTuple):
    """Rules of others in files that come into force with ours, and notes on them for people."""

    rules: Tuple[Rule, ...] = ()
    notes: Tuple[str, ...] = ()


class Check(NamedTuple):
    """What a draft does to the administrator's own lines.

    All are sentences for people. `problems` are lines that would be applied otherwise than now:
    refused with `remedy` unless forced. `warnings` are lines that come into force beside ours,
    `flaws` lines that can never work.
    """

    problems: Tuple[str, ...] = ()
    remedy: str = ""
    warnings: Tuple[str, ...] = ()
    flaws: Tuple[str, ...] = ()
    sleeping: SleepingRules = SleepingRules()


class Inspected(NamedTuple):
    """What a target looks for findings in.

    `listed` are the rules of `list_rules`; `asymmetric_links` names uplinks with an address whose
    replies go astray.
    """

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
        """The files that hold rules and routes: ours and the administrator's."""
        return self.evidence.files


class Target(abc.ABC):
    """One way to keep a plan for the next boot.

    Nothing here writes: methods with a `root` read below it and return changes, which
    `files.install` makes, all or none. Paths are absolute, as the host sees them.

    A run of ``generate`` asks for `find_owned`, `read_earlier`, `bind`, `draft`, `check` and
    `find_obstacle`, in this order; ``remove`` for `draft_removal`; ``diagnose`` for `list_rules`
    and `find_findings`; what compares files with the kernel for `list_entries`.
    """

    name: str  # as `choose_target` takes it: the folder's

    @property
    @abc.abstractmethod
    def folders(self) -> Tuple[str, ...]:
        """The folders in which its files stand."""

    @abc.abstractmethod
    def find_obstacle(self, host: Host) -> Optional[Obstacle]:
        """Why nothing would apply what is written; None where something does."""

    @abc.abstractmethod
    def bind(self, host: Host, settings: Settings, uplinks: Sequence[Uplink]) -> Tuple[Uplink, ...]:
        """The uplinks with the profiles that their lines are kept with.

        Raises one `Refusal` that tells all that is wrong with any of them.
        """

    @abc.abstractmethod
    def find_profile(self, host: Host, settings: Settings, link: Link) -> Profile:
        """As `bind`, for one link; raises `Refusal` with what to do."""

    @abc.abstractmethod
    def find_owned(self, root: Path) -> Tuple[str, ...]:
        """The paths of all files below `root` that hold anything of ours, sorted.

        Raises `SystemFailure` where a folder or file cannot be read.
        """

    @abc.abstractmethod
    def read_earlier(self, root: Path, host: Host, owned: Iterable[str]) -> Files:
        """The rules and routes in the files of `find_owned`; raises `SymrouteError`."""

    @abc.abstractmethod
    def list_entries(self, files: Iterable[ConfigFile], host: Host) -> Files:
        """The rules and routes in these files, ours apart from the administrator's.

        Lines that are not understood are left out. Raises `Refusal` for a damaged block.
        """

    @abc.abstractmethod
    def list_rules(self, files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRule, ...]:
        """All rules in these files, in order, whosever they are.

        Lines that are not understood are left out.
        """

    @abc.abstractmethod
    def draft(
        self, root: Path, host: Host, plan: Plan, owned: Sequence[str], options: DraftOptions
    ) -> Draft:
        """The changes that write the plan and take away what it does not need any more.

        `owned` are the files of `find_owned`. What the administrator wrote stays byte for byte.
        Raises `SymrouteError`.
        """

    @abc.abstractmethod
    def draft_removal(self, root: Path) -> Tuple[Change, ...]:
        """The changes that take away all that is ours; raises `SymrouteError`."""

    @abc.abstractmethod
    def check(
        self,
        root: Path,
        host: Host,
        plan: Plan,
        changes: Sequence[Change],
        trial: Optional[Trial] = None,
    ) -> Check:
        """What the changes do to the administrator's lines; raises `SymrouteError`.

        The lines are tried by `trial`, where it can, else in the model.
        """

    @abc.abstractmethod
    def find_dead_lines(self, files: Iterable[ConfigFile], host: Host) -> Sequence[str]:
        """A sentence for each of the administrator's lines in these files that never works."""

    @abc.abstractmethod
    def find_findings(self, inspected: Inspected) -> Iterable[Iterator[Finding]]:
        """What keeps the files from being applied: an iterator for each thing looked for."""

    @abc.abstractmethod
    def notes_on_earlier(self, earlier: EarlierBlocks) -> List[str]:
        """What people are told about blocks of earlier runs: those that stay, and why."""

    @abc.abstractmethod
    def writing_order(self, change: Change) -> int:
        """Which files are written first: the lower, the earlier; back it goes the other way."""

    @abc.abstractmethod
    def profile_of(self, path: str) -> str:
        """The name of the profile whose lines a file holds; "" for other files."""


def choose_target(name: str = "ifcfg") -> Target:
    """The target of that name, which is that of its folder."""
    # The module's name is built, so that a command that needs none of them loads none.
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
    for planned in plan.uplinks:
        taken += [rule.priority for rule in planned.rules]
    lowest = min(taken, default=1)
    added: List[Rule] = []
    for rule in rules:
        lowest = lowest if rule.priority else max(1, lowest - 1)
        added.append(rule if rule.priority else rule._replace(priority=lowest))
    ordered = sorted((*host.rules, *added), key=lambda rule: (rule.version, rule.priority))
    return host._replace(rules=tuple(ordered))
