"""How long a run takes and how much memory, beside its peers: ``python3 tests/bench [RUNS]``.

Every command is run once unmeasured, then RUNS times, all commands in turn, so that a change of
the machine's mood meets all of them alike. The table shows medians. A live host needs root.
Where other work is going on, compare the processor time.
"""

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from support.building import build_wheel, execute, make_venv, pip, say
from support.golden import FOLDER
from support.network import namespaces, traffic
from support.pythons import Python, current_python

RUNS = 11
FINDING = 1  # diagnose and verify find something on a host without a plan
SNAPSHOT = FOLDER / "two-uplinks" / "host.json"
# The same host as netplan's users have to write it by hand, tables and rules and all.
NETPLAN = """network:
  version: 2
  renderer: networkd
  ethernets:
    eth0:
      addresses: [10.0.6.5/24, "2001:db8:6::5/64"]
      routes:
        - {to: default, via: 10.0.6.1, metric: 100}
        - {to: 10.0.6.0/24, scope: link, table: 100}
        - {to: 10.0.5.0/24, via: 10.0.6.1, table: 100}
        - {to: default, via: 10.0.6.1, table: 100}
        - {to: "::/0", via: "2001:db8:6::1", table: 100}
      routing-policy:
        - {from: 10.0.6.5, table: 100, priority: 20002}
        - {from: "2001:db8:6::5", table: 100, priority: 20002}
    eth1:
      addresses: [10.0.5.5/24, "2001:db8:5::5/64"]
      routes:
        - {to: default, via: 10.0.5.1, metric: 50}
        - {to: 10.0.5.0/24, scope: link, table: 101}
        - {to: 10.0.6.0/24, via: 10.0.5.1, table: 101}
        - {to: default, via: 10.0.5.1, table: 101}
        - {to: "::/0", via: "2001:db8:5::1", table: 101}
      routing-policy:
        - {from: 10.0.5.5, table: 101, priority: 20002}
        - {from: "2001:db8:5::5", table: 101, priority: 20002}
"""
IFCFG = "/etc/sysconfig/network-scripts/ifcfg-%s"


class Cost(NamedTuple):
    """Of one run: seconds of wall time, and of processor time with all of its children."""

    seconds: float
    processor: float


def main() -> int:
    """Print the table."""
    runs = int(sys.argv[1]) if sys.argv[1:] else RUNS
    commands = install()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rows = {**offline(commands, folder), **peers(commands, folder)}
        rows.update(stack.enter_context(live(commands, folder)))
        costs = measure(rows, runs)
        memory = {name: peak_memory(command) for name, command in rows.items()}
    version = subprocess.check_output([str(commands / "python"), "-V"]).decode().strip()
    show(costs, memory, version, runs)
    return 0


def install() -> Path:
    """Folder of the commands of a fresh virtual environment with the package, bytecode and all."""
    say("installing")
    wheel = build_wheel()
    commands = make_venv("bench", _interpreter(), str(wheel))
    pip(commands.parent, "--no-deps", "--force-reinstall", wheel)
    # As an RPM ships it, and whatever PYTHONDONTWRITEBYTECODE says.
    execute(commands / "python", "-m", "compileall", "-q", commands.parent / "lib")
    return commands


def _interpreter() -> Python:
    """The distribution's Python, which runs netplan, too; else the current one."""
    code = "import sys, ensurepip; print(*sys.version_info[:2])"
    ran = subprocess.run(
        ["/usr/bin/python3", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if ran.returncode:
        say("not the same Python as netplan's: /usr/bin/python3 has no ensurepip")
        return current_python()
    major, minor = map(int, ran.stdout.split())
    return Python((major, minor), Path("/usr/bin/python3"))


def offline(commands: Path, folder: Path) -> Dict[str, List[str]]:
    """What needs no live host."""
    symroute = str(commands / "symroute-nm")
    root = folder / "root"
    root.mkdir()
    snapshot = ["--host", str(SNAPSHOT), "--root", str(root)]
    return {
        "generate --dry-run --host": [symroute, "generate", "--dry-run", *snapshot],
        "inspect --json --host": [symroute, "inspect", "--json", *snapshot],
        "diagnose --host": [symroute, "diagnose", *snapshot],
        "--help": [symroute, "--help"],
        "--version": [symroute, "--version"],
    }


def peers(commands: Path, folder: Path) -> Dict[str, List[str]]:
    """What others take for the like, and what of ours is the interpreter and the libraries."""
    python = str(commands / "python")
    rows = {
        "python -c pass": [python, "-c", "pass"],
        "python -c 'import typer, jinja2, pyroute2'": [
            python,
            "-c",
            "import typer, jinja2, pyroute2",
        ],
    }
    netplan = shutil.which("netplan", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if netplan:
        # Not the administrator's: a root of our own, and no systemd to tell.
        written = folder / "netplan" / "etc" / "netplan" / "host.yaml"
        written.parent.mkdir(parents=True)
        written.write_text(NETPLAN)
        written.chmod(0o600)
        rows["netplan generate"] = [netplan, "generate", "--root-dir", str(folder / "netplan")]
    else:
        say("no netplan to compare with: apt-get install netplan.io")
    return rows


@contextlib.contextmanager
def live(commands: Path, folder: Path) -> Iterator[Dict[str, List[str]]]:
    """The commands in a network namespace with two uplinks."""
    reason = namespaces.missing()
    if reason:
        say(f"no live host: {reason}")
        yield {}
        return
    root = folder / "live"
    for name in ("eth0", "eth1"):
        profile = root / (IFCFG % name).lstrip("/")
        profile.parent.mkdir(parents=True, exist_ok=True)
        # With a UUID, as NetworkManager and the installer write them.
        profile.write_text(
            "DEVICE={}\nTYPE=Ethernet\nONBOOT=yes\nUUID={}\n".format(
                name, "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e0" + name[-1]
            )
        )
    with namespaces.Namespace() as space:
        namespaces.two_uplinks(space)
        # All commands alike are started from there, so that no nsenter(1) is measured with some.
        traffic.enter(space.name)
        symroute = str(commands / "symroute-nm")
        yield {
            "generate --dry-run, live": [symroute, "generate", "--dry-run", "--root", str(root)],
            "diagnose, live": [symroute, "diagnose", "--root", str(root)],
            "verify, live": [symroute, "verify", "--root", str(root)],
            "inspect --json, live": [symroute, "inspect", "--json", "--root", str(root)],
            "inspect, live": [symroute, "inspect", "--root", str(root)],
        }


def measure(rows: Dict[str, List[str]], runs: int) -> Dict[str, List[Cost]]:
    """{name: the cost of each run}; the commands take turns."""
    costs: Dict[str, List[Cost]] = {name: [] for name in rows}
    for number in range(runs + 1):
        for name, command in rows.items():
            cost = run(command)
            if number:  # the first fills the caches
                costs[name].append(cost)
    return costs


def start(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start a command with nothing to say and little in its environment."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def run(command: Sequence[str]) -> Cost:
    """Run a command that must work."""
    begun = time.perf_counter()
    child = start(command)
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begun
    child.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
    if child.returncode not in (0, FINDING):
        sys.exit("failed: {}".format(" ".join(command)))
    return Cost(seconds, used.ru_utime + used.ru_stime)


def peak_memory(command: Sequence[str]) -> int:
    """KiB of memory of the command's own process at its peak, seen from outside.

    Not ru_maxrss: that begins with what the process that started the command had (getrusage(2)).
    """
    child = start(command)
    peak = 0
    while child.poll() is None:
        try:
            status = Path(f"/proc/{child.pid}/status").read_text()
        except OSError:
            continue
        found = re.search(r"^VmHWM:\s+([0-9]+) kB$", status, re.M)
        peak = max(peak, int(found.group(1))) if found else peak
    return peak


def show(costs: Dict[str, List[Cost]], memory: Dict[str, int], version: str, runs: int) -> None:
    """Print medians, the slowest first."""
    rows = sorted(
        (
            (
                statistics.median(each.seconds for each in found),
                min(each.seconds for each in found),
                statistics.median(each.processor for each in found),
                name,
            )
            for name, found in costs.items()
        ),
        reverse=True,
    )
    print(f"\n{version}, medians of {runs} runs")
    print(f"{'ms':>8} {'best ms':>8} {'CPU ms':>8} {'MiB':>8}  command")
    for seconds, best, processor, name in rows:
        times = f"{seconds * 1000:8.1f} {best * 1000:8.1f} {processor * 1000:8.1f}"
        print(f"{times} {memory[name] / 1024:8.1f}  {name}")


if __name__ == "__main__":
    sys.exit(main())
