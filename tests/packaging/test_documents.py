"""What the packages say of the program, against the program itself: man pages, the example
configuration, completion in a real bash."""

import importlib.util
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Set

import click
import pytest
import typer.main

from support.network.namespaces import Namespace
from support.program import SOURCE
from symroute_nm.cli import main
from symroute_nm.errors import InputError, SymrouteError
from symroute_nm.model.settings import Settings, TableChoice
from symroute_nm.readers.settings import parse_settings

RPM = SOURCE / "rpm"
EXAMPLE = (RPM / "symroute-nm.conf").read_text(encoding="utf-8")
NAMED = re.compile(r"\\fB(--?[a-z][a-z-]*)\\fR")
SECTIONS = ("[symroute]", "[interface eth0]")


def load_documents() -> Any:
    """The module that makes them at build time."""
    spec = importlib.util.spec_from_file_location("documents", str(RPM / "documents.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


documents = load_documents()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with man pages and completion."""
    folder = tmp_path_factory.mktemp("documents")
    subprocess.run([sys.executable, str(RPM / "documents.py"), str(RPM), str(folder)], check=True)
    return folder


# -- man pages ------------------------------------------------------------------------------------


def declared() -> Dict[str, Set[str]]:
    """{command: every spelling of its options} as the application declares them; "" for its own."""
    group = typer.main.get_command(main.app)
    assert isinstance(group, click.Group)
    context = click.Context(group)
    found = {"": spellings(group)}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command, name
        found[name] = spellings(command)
    return found


def spellings(command: click.Command) -> Set[str]:
    """Every spelling of the options of a command."""
    found = {"-h", "--help"}
    for option in command.params:
        if isinstance(option, click.Option):
            found.update(option.opts, option.secondary_opts)
    return found


COMMANDS = sorted(set(declared()) - {""})


def section(page: str, name: str) -> str:
    """A man page's part on one command, hyphens as people see them."""
    plain = page.replace("\\-", "-")
    found = re.search(rf'^\.SS "{name} [^"]*"\n(.*?)^\.S[SH] ', plain, re.MULTILINE | re.DOTALL)
    assert found, name
    return found.group(1)


def test_the_application_declares_what_it_did_and_more() -> None:
    assert {"generate", "inspect", "undo"} <= set(COMMANDS)
    assert {"--guard", "--iif", "--no-iif", "-n", "--dry-run"} <= declared()["generate"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_man_page_has_every_option_of(made: Path, name: str) -> None:
    page = (made / "symroute-nm.8").read_text(encoding="utf-8")
    options = declared()[name]
    # What several commands share is named with each in its long form, and explained once.
    named = set(NAMED.findall(section(page, name)))
    assert spelt_out(options) == spelt_out(named)
    assert set() == options - set(NAMED.findall(page.replace("\\-", "-")))


def spelt_out(options: Set[str]) -> Set[str]:
    return {option for option in options if option.startswith("--")}


@pytest.mark.parametrize("page", ("symroute-nm.8", "symroute-nm.conf.5"))
def test_troff_finds_nothing_wrong_with_the_man_pages(made: Path, page: str) -> None:
    try:
        ran = subprocess.run(
            ["groff", "-man", "-Tutf8", "-P-cbou", "-ww", str(made / page)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("groff is not installed")
    assert (0, b"") == (ran.returncode, ran.stderr)
    assert b"\nSEE ALSO\n" in ran.stdout


# -- configuration --------------------------------------------------------------------------------


def accepted(header: str) -> Set[str]:
    """The keys that the parser itself names for an unknown one."""
    with pytest.raises(InputError) as caught:
        parse_settings(f"{header}\nqqqqqqqqqqqq = 1\n")
    listed_keys = re.search(r"known: (.*)", caught.value.hint)
    assert listed_keys
    return set(listed_keys.group(1).split(", "))


def uncommented() -> str:
    return re.sub(r"(?m)^#(\[|[a-z][a-z-]* = )", r"\1", EXAMPLE)


@pytest.mark.parametrize("header", SECTIONS)
def test_the_example_explains_every_key_and_no_other(header: str) -> None:
    keys = [each for each in documents.keys(EXAMPLE) if each.section == header]
    assert accepted(header) == {key.name for key in keys}
    assert len(keys) == len({key.name for key in keys})
    assert [] == [key.name for key in keys if len(key.text) < 20]


def test_the_example_changes_nothing_as_it_is_shipped() -> None:
    assert Settings() == parse_settings(EXAMPLE)


def test_each_line_of_the_example_can_be_uncommented() -> None:
    keys = documents.keys(EXAMPLE)
    assert len(keys) == len(re.findall(r"(?m)^[a-z].* = ", uncommented()))
    assert TableChoice("users", 2) == parse_settings(uncommented()).interface["eth0"].table
    for key in keys:
        parse_settings(f"{key.section}\n{key.example}\n")


def test_an_example_is_the_default_or_is_said_to_be_unset() -> None:
    """Who removes the # of a line that does not say "unset" changes nothing."""
    for key in documents.keys(EXAMPLE):
        if key.section == SECTIONS[0] and "unset" not in key.text.lower():
            assert Settings() == parse_settings(f"{key.section}\n{key.example}\n"), key


def test_the_man_page_of_the_configuration_has_every_key(made: Path) -> None:
    page = (made / "symroute-nm.conf.5").read_text(encoding="utf-8").replace("\\-", "-")
    for key in documents.keys(EXAMPLE):
        assert f"\n\\fB{key.name}\\fR = " in page
        assert key.text.split(". ")[0].split("`")[0][:40] in page


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(SymrouteError):
        parse_settings(uncommented() + "\nnothing-of-ours = 1\n")


# -- completion -----------------------------------------------------------------------------------

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
compopt() { :; }  # outside readline there is nothing to set
$(complete -p symroute-nm | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(made: Path, *words: str) -> List[str]:
    """What bash would offer for the last word."""
    ran = subprocess.run(
        [
            "bash",
            "--norc",
            "-c",
            COMPLETE,
            "bash",
            str(made / "symroute-nm.bash"),
            "symroute-nm",
            *words,
        ],
        cwd=str(made),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        check=True,
    )
    return sorted(ran.stdout.split())


def test_completion_offers_every_command_and_option(made: Path) -> None:
    assert COMMANDS == complete(made, "")
    assert sorted(declared()[""]) == complete(made, "-")
    for name in COMMANDS:
        assert sorted(declared()[name]) == complete(made, name, "-")


OFFERED: Dict[str, List[str]] = {
    "gen": ["generate"],
    "generate --dr": ["--dry-run"],
    "generate --guard ": ["auto", "none", "rules", "throw"],
    "generate --guard = ": ["auto", "none", "rules", "throw"],
    "generate --guard = th": ["throw"],
    "generate --host symroute-nm.c": ["symroute-nm.conf.5"],
    "generate --root sub": ["sub"],
    "generate --force --so": ["--sources"],
    "explain 10.0.6.5 --pl": ["--planned"],
    "explain --mark ": [],
    "nonsense --gu": [],
    "inspect --guard ": [],
}


@pytest.mark.parametrize("line", sorted(OFFERED))
def test_completion_offers(made: Path, line: str) -> None:
    (made / "sub").mkdir(exist_ok=True)
    assert OFFERED[line] == complete(made, *line.split(" "))


def test_completion_names_links_and_runs_none_of_them(made: Path, namespace: Namespace) -> None:
    namespace.ip("link add eth0 type veth peer eth1")
    mark = made / "ran"
    # As long a name as there can be, with a command in it.
    namespace.link(b"$(>ran)", "type", "veth", "peer", "name", "a;b")
    script = 'mount -t sysfs none /sys && exec bash --norc -c "$0" "$@"'
    for option, expected in (
        ("--interface", ["eth0", "eth1", "lo"]),
        ("--table", ["eth0=", "eth1=", "lo="]),
    ):
        ran = namespace.run(
            [
                "unshare",
                "--mount",
                "sh",
                "-c",
                f"cd {made} && {script}",
                COMPLETE,
                "bash",
                str(made / "symroute-nm.bash"),
                "symroute-nm",
                "generate",
                option,
                "",
            ]
        )
        assert expected == sorted(ran.stdout.decode().split()), ran.stderr
        assert not mark.exists()


def test_completion_works_at_a_prompt(made: Path) -> None:
    """Readline itself, in a terminal: TAB completes a word as if it had been typed."""
    shell, terminal = pty.openpty()
    running = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=str(made),
        env={"PATH": os.environ["PATH"], "PS1": "$ ", "TERM": "dumb"},
        start_new_session=True,
    )
    os.close(terminal)
    typed = b"source ./symroute-nm.bash; symroute-nm() { echo got:$*:; }\n"
    typed += b"symroute-nm gen\t--gua\tth\t--no-i\t\nexit\n"
    os.write(shell, typed)
    said, end = b"", time.monotonic() + 20
    while b"got:generate" not in said and time.monotonic() < end:
        if select.select([shell], [], [], 1)[0]:
            said += os.read(shell, 4096)
    running.kill()
    running.wait()
    os.close(shell)
    assert b"got:generate --guard throw --no-iif:" in said
