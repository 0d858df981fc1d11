"""Target "ifcfg": route and rule files that NetworkManager's dispatcher script applies."""

from functools import partial
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from symroute_nm.files import access
from symroute_nm.files.changes import Change
from symroute_nm.model.finding import Finding
from symroute_nm.model.host import Host
from symroute_nm.model.listing import Files, ListedRule
from symroute_nm.model.network import Link
from symroute_nm.model.observations import ConfigFile, config_file
from symroute_nm.model.plan import Plan, Uplink
from symroute_nm.model.profiles import Profile
from symroute_nm.model.settings import Settings
from symroute_nm.model.trial import Trial
from symroute_nm.targets.base import (
    Check,
    Draft,
    DraftOptions,
    EarlierBlocks,
    Inspected,
    Obstacle,
    Target,
)
from symroute_nm.targets.ifcfg.names import ROUTE, RULE, is_kind, paths_of, profile_of


class IfcfgTarget(Target):
    """``route-``, ``route6-``, ``rule-``, ``rule6-PROFILE`` and a fragment of rt_tables.

    Each method imports what it needs: most commands need few of them.
    """

    name = "ifcfg"

    @property
    def folders(self) -> Tuple[str, ...]:
        """Of route and rule files, rt_tables, and of what sets marks."""
        from symroute_nm.targets.ifcfg.changes import FOLDERS

        return FOLDERS

    def find_obstacle(self, host: Host) -> Optional[Obstacle]:
        """What is wrong with the dispatcher script; None where something applies the files."""
        from symroute_nm.targets.ifcfg.findings import find_obstacle

        return find_obstacle(host)

    def bind(self, host: Host, settings: Settings, uplinks: Sequence[Uplink]) -> Tuple[Uplink, ...]:
        """The uplinks with their ifcfg profiles; raises one `Refusal` that tells all."""
        from symroute_nm.targets.ifcfg.profiles import name_profiles

        return name_profiles(host, settings, uplinks)

    def find_profile(self, host: Host, settings: Settings, link: Link) -> Profile:
        """The ifcfg profile whose name the link's files carry; raises `Refusal`."""
        from symroute_nm.targets.ifcfg.profiles import find_profile

        return find_profile(host, settings, link)

    def find_owned(self, root: Path) -> Tuple[str, ...]:
        """Route, rule and rt_tables files, and those that set marks, with a block of ours."""
        from symroute_nm.targets.ifcfg.changes import find_owned

        return find_owned(root)

    def read_earlier(self, root: Path, host: Host, owned: Iterable[str]) -> Files:
        """What our blocks in route and rule files list."""
        paths = [path for path in owned if profile_of(path)]
        files = [config_file(path, access.read(root, path) or b"") for path in paths]
        return self.list_entries(files, host)

    def list_entries(self, files: Iterable[ConfigFile], host: Host) -> Files:
        """The rules and routes in route and rule files: ours, foreign."""
        from symroute_nm.targets.ifcfg.listing import read_files

        return read_files(files, host)

    def list_rules(self, files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRule, ...]:
        """The rules in all of the rule files, in order."""
        from symroute_nm.targets.ifcfg.listing import list_rules

        return list_rules(files, host)

    def draft(
        self, root: Path, host: Host, plan: Plan, owned: Sequence[str], options: DraftOptions
    ) -> Draft:
        """The changes that write the plan's blocks and take those away that are not planned."""
        from symroute_nm.targets.ifcfg.changes import find_changes
        from symroute_nm.targets.ifcfg.earlier_blocks import sort_earlier_blocks

        wanted = _render(plan, host, EarlierBlocks())
        earlier = sort_earlier_blocks(host, plan, owned, wanted, prune=options.prune)
        if earlier.tables:
            wanted = _render(plan, host, earlier)
        rewriters = _rewriters(root, host, plan) if options.convert else {}
        return Draft(find_changes(root, wanted, earlier.gone, rewriters), earlier)

    def draft_removal(self, root: Path) -> Tuple[Change, ...]:
        """The changes that take every block and file of ours away."""
        from symroute_nm.targets.ifcfg.changes import find_changes

        return find_changes(root, {}, self.find_owned(root))

    def check(
        self,
        root: Path,
        host: Host,
        plan: Plan,
        changes: Sequence[Change],
        trial: Optional[Trial] = None,
    ) -> Check:
        """What NetworkManager applies now and the dispatcher script would apply otherwise."""
        from symroute_nm.targets.ifcfg.checks import check

        return check(root, host, plan, changes, trial)

    def find_dead_lines(self, files: Iterable[ConfigFile], host: Host) -> Sequence[str]:
        """The lines outside our blocks that the dispatcher script hands to `ip` in vain."""
        from symroute_nm.targets.ifcfg.dead_lines import find_dead_lines

        return find_dead_lines(files, host)

    def find_findings(self, inspected: Inspected) -> Iterable[Iterator[Finding]]:
        """The dispatcher script, names of files, profiles, forms and lines."""
        from symroute_nm.targets.ifcfg.findings import FINDERS

        return [find(inspected) for find in FINDERS]

    def notes_on_earlier(self, earlier: EarlierBlocks) -> List[str]:
        """What is said about route and rule files that keep their blocks."""
        from symroute_nm.targets.ifcfg.earlier_blocks import notes_on_earlier_blocks

        return notes_on_earlier_blocks(earlier)

    def writing_order(self, change: Change) -> int:
        """Rule files first, and last those that go: without, NetworkManager takes route files."""
        if not is_kind(change.path, RULE):
            return 1
        return 2 if change.after is None else 0

    def profile_of(self, path: str) -> str:
        """The profile that a route or rule file is named after; "" for other files."""
        return profile_of(path)


TARGET = IfcfgTarget()


def _render(plan: Plan, host: Host, earlier: EarlierBlocks) -> Dict[str, str]:
    if not plan.uplinks:
        return {}
    from symroute_nm.targets.ifcfg.render import render

    return render(plan, host, earlier.tables)


def _rewriters(root: Path, host: Host, plan: Plan) -> Dict[str, Callable[[bytes], bytes]]:
    """What makes lines that `ip` takes of those of each route file: {path: function}."""
    from symroute_nm.targets.ifcfg.checks import pairs_of, without_rule_file
    from symroute_nm.targets.ifcfg.static_routes import rewrite

    bare = without_rule_file(root, plan)
    rewriters: Dict[str, Callable[[bytes], bytes]] = {}
    for pair in pairs_of(plan):
        for path in paths_of(ROUTE, [pair.profile]):
            rewriters[path] = partial(
                rewrite, path=path, pair=pair, host=host, by_networkmanager=pair in bare
            )
    return rewriters
