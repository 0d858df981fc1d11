"""The texts of ``route-``, ``route6-``, ``rule-`` and ``rule6-PROFILE`` files below a root."""

import os
import re
from pathlib import Path
from typing import List, Tuple

from symroute_nm.errors import Refusal, SymrouteError, SystemFailure
from symroute_nm.files import access
from symroute_nm.files.access import Tree
from symroute_nm.model.observations import RULE_FILES, ConfigFile, Unread
from symroute_nm.model.places import NETWORK_SCRIPTS
from symroute_nm.model.profiles import BACKUP_NAME

# The dispatcher script reads no other names; of backups there is no profile.
_NAME = re.compile(r"(?:route|rule)6?-.+")


def read_route_files(root: Path) -> Tuple[ConfigFile, ...]:
    """The route and rule files below `root`; raises `SystemFailure` for one that is unreadable."""
    with Tree(root) as tree:
        files, unread = read_route_files_below(tree)
    if unread:
        raise SystemFailure(unread[0].reason, "check its permissions; run as root")
    return files


def read_route_files_below(tree: Tree) -> Tuple[Tuple[ConfigFile, ...], List[Unread]]:
    """The route and rule files of a tree, and those that cannot be read, with why."""
    try:
        names = tree.names(NETWORK_SCRIPTS)
    except (FileNotFoundError, NotADirectoryError):
        return (), []
    except OSError as error:
        folder = tree.shown(NETWORK_SCRIPTS)
        return (), [Unread(RULE_FILES, f"{folder}: {error.strerror or error}")]
    except Refusal as refusal:
        return (), [Unread(RULE_FILES, refusal.message)]
    files: List[ConfigFile] = []
    unread: List[Unread] = []
    for name in names:
        if not _NAME.fullmatch(name) or BACKUP_NAME.fullmatch(name):
            continue
        try:
            content = access.read_below(tree, f"{NETWORK_SCRIPTS}/{name}")
        except SymrouteError as error:
            unread.append(Unread(RULE_FILES, error.message))
        else:
            path = f"{NETWORK_SCRIPTS}/{_as_unicode(name)}"
            text = content.decode("utf-8", "replace")
            files.append(ConfigFile(path, text.replace("\0", "\ufffd")))
    return tuple(files), unread


def _as_unicode(name: str) -> str:
    """A file's name, which may be any bytes, as text that JSON takes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
