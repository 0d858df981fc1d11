"""`remove` and `undo`, step by step: what they change, and what stays in force all the same."""

import os
from pathlib import Path
from typing import Any, Dict, Iterable, List

from symroute_nm.choices import Settings
from symroute_nm.model import Change
from symroute_nm.rooted import is_own

_AFTER_UNDO = (
    "to bring the restored files to life: symroute-nm apply, or nmcli connection up for each of "
    "their connections, your own session's last; symroute-nm diagnose names rules in force that no "
    "file lists any more")


def commands(root: Path, settings: Settings) -> List[str]:
    """How to delete our rules from this kernel: with no file left, nothing else will.

    None where `root` is not this machine's own. To be asked for before the files are gone, which
    tell whose tables these are. Raises `SymrouteError`.
    """
    if not is_own(root):
        return []
    from symroute_nm import netfilter, reading  # below another root nobody is asked
    from symroute_nm.loaded import unload_commands
    from symroute_nm.recognition import is_ours, our_rules
    from symroute_nm.wording import delete_rule

    host = reading.read_host(root, probe=False)
    ours = our_rules(host, settings)
    marks = unload_commands(netfilter.read_loaded()) if os.geteuid() == 0 else []
    return marks + [
        delete_rule(each) for each in host.rules if each in ours or is_ours(each, settings)]


def command_lines(found: List[str]) -> List[str]:
    """The commands with a word on what they do."""
    if not found:
        return []
    return ["still in force until the next boot; to end them now:",
            *("  %s" % each for each in found)]


def removal(changes: Iterable[Change], found: List[str], dry_run: bool) -> Dict[str, Any]:
    """What `remove` did or would do: {"dry_run", "files": [{"path", "change"}], "commands"}."""
    return {"dry_run": dry_run, "files": _files(changes), "commands": found}


def restoration(name: str, changes: Iterable[Change], notes: List[str]) -> Dict[str, Any]:
    """What `undo` did: {"restored": the backup's name, "files": […], "notes": […]}."""
    return {"restored": name, "files": _files(changes), "notes": notes}


def restored_lines(changes: Iterable[Change]) -> List[str]:
    """What was done to each file."""
    return ["%s  %s" % ("unchanged" if each.kind == "keep" else "restored ", each.path)
            for each in changes]


def after_undo(changes: Iterable[Change]) -> List[str]:
    """What is left to do for the running kernel, if files were changed."""
    if any(each.kind != "keep" for each in changes):
        return [_AFTER_UNDO]
    return ["nothing to change: all files are as that backup has them"]


def _files(changes: Iterable[Change]) -> List[Dict[str, str]]:
    return [{"path": each.path, "change": each.kind} for each in changes]
