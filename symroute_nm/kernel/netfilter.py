"""Marks in this kernel: nft and iptables are started to list what sets them, and to set them."""

import os
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from symroute_nm import programs
from symroute_nm.errors import SystemFailure, pass_on_exhaustion
from symroute_nm.kernel.loaded_marks import SYSCTL_FILE, LoadedMarks
from symroute_nm.kernel.mark_setup import Command
from symroute_nm.model.marking import NAME, PROGRAMS


def read_loaded() -> LoadedMarks:
    """The nftables table and the iptables chains that set our marks, and the sysctl they need.

    Raises `SystemFailure` where it may not be looked at.
    """
    if os.geteuid() != 0:
        raise SystemFailure("only root may list what sets marks", "run as root")
    iptables, ip6tables = (_chain(program) for program in PROGRAMS)
    return LoadedMarks(_table(), iptables, ip6tables, _valid_mark())


def run_script(text: str, held: Sequence[int] = ()) -> None:
    """Have the shell run a script; raises `SystemFailure` with what it says.

    `held` as `programs.run` has it.
    """
    # Not as an argument: of hundreds of uplinks it would be too long (MAX_ARG_STRLEN).
    content = text.encode("utf-8", "surrogateescape")
    ran = programs.run(["sh"], content, held=held) if text else None
    if ran and ran.code:
        raise SystemFailure(
            f"marks cannot be set: {ran.errors.strip() or ran.complaint}",
            "see whether nft or iptables work on this host",
        )


def run_command(command: Command, held: Sequence[int] = ()) -> None:
    """Start a program, without a shell; raises `SystemFailure` with what it says.

    `held` as `programs.run` has it.
    """
    if programs.find(command.words[0]) is None and not (command.needed or command.instead):
        return  # what is to go cannot have been set by a program that is not here
    ran = programs.run(command.words, command.text.encode("ascii"), held=held)
    if ran.code and command.instead:
        ran = programs.run(command.instead, held=held)
    elif not command.needed:
        return
    if ran.code:
        raise SystemFailure(
            f"marks cannot be set: {ran.errors.strip() or ran.complaint}",
            "see whether nft or iptables work on this host",
        )


def set_valid_mark(wanted: bool) -> None:
    """Have net.ipv4.conf.all.src_valid_mark on or off; raises `SystemFailure`."""
    if _valid_mark() == wanted:
        return
    try:
        Path(SYSCTL_FILE).write_text("1" if wanted else "0")
    except OSError as error:
        raise SystemFailure(
            f"cannot write {SYSCTL_FILE}: {error.strerror}", "run as root"
        ) from error


def _listed(command: Sequence[str]) -> programs.Finished:
    """What a program lists; raises `SystemFailure` where it was killed: then nothing is known."""
    ran = programs.run(command)
    if ran.code < 0:
        raise SystemFailure(f"{command[0]} was killed by signal {-ran.code}", "run it again")
    return ran


def _table() -> str:
    if not programs.find("nft"):
        return ""
    ran = _listed(["nft", "list", "table", "inet", NAME])
    return ran.output if ran.code == 0 else ""


def _chain(program: str) -> Tuple[str, ...]:
    """The lines of table mangle that name our chain, jumps to it with their place among others.

    Without -t, no kernel module is loaded.
    """
    if not programs.find(program + "-save"):
        return ()
    lines: List[str] = []
    places: Dict[str, int] = {}
    inside = False
    for line in _listed([program + "-save"]).output.splitlines():
        inside = line == "*mangle" or (inside and not line.startswith("*"))
        words = line.split() if inside else []
        if words[:1] == ["-A"]:
            places[words[1]] = places.get(words[1], 0) + 1
        # What names our chain as its target, or is in it: a comment may hold any word.
        if words[:1] == ["-A"] and words[1] != NAME and words[-2:] == ["-j", NAME]:
            lines.append(f"-I {words[1]} {places[words[1]]} {' '.join(words[2:])}")
        elif words[:2] == ["-A", NAME] or words[:1] == [":" + NAME]:
            lines.append(line)
    return tuple(lines)


def _valid_mark() -> bool:
    try:
        return Path(SYSCTL_FILE).read_text().strip() != "0"
    except OSError as error:
        pass_on_exhaustion(error)
        return False
