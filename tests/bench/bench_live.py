"""How long large hosts take, live: ``python3 tests/bench/bench_live.py [RUNS]`` (root).

A Kubernetes-like node (2 uplinks, veths, container routes), a VLAN host (many uplinks), the same
with its plan in files and kernel, a full table. Each run is a process of its own in the network
namespace: processor and wall seconds, medians, and MiB at the peak. `ip route` lists the same
host's routes beside it.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

from live_hosts import TESTS, live_host, put_in_force

from support.network.namespaces import Namespace

RUNS = 5
NODE, VLANS, FULL = "node", "VLAN host", "full table"
PLANNED = "in force"
COMMANDS = (["generate", "--dry-run"], ["diagnose"], ["verify"])
# uplinks, veths, container routes, routes behind routers
ROWS: Sequence[Tuple[str, Dict[str, int]]] = (
    (NODE, {"uplinks": 2, "veths": 50, "containers": 2000}),
    (NODE, {"uplinks": 2, "veths": 500, "containers": 20000}),
    (NODE, {"uplinks": 2, "veths": 2000, "containers": 80000}),
    (VLANS, {"uplinks": 50}),
    (VLANS, {"uplinks": 500}),
    (VLANS, {"uplinks": 2000}),
    (PLANNED, {"uplinks": 50}),
    (PLANNED, {"uplinks": 500}),
    (PLANNED, {"uplinks": 2000}),
    (FULL, {"uplinks": 2, "table": 500000}),
)
# At the end it says what it used: ru_maxrss would begin with what its parent had (getrusage(2)).
MEASURED = """
import gc, os, resource, sys
gc.disable()
from symroute_nm.cli import main
sys.argv[0] = "symroute-nm"
def leave(code):
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    sys.stderr.write("\\nused %f %s\\n" % (used.ru_utime + used.ru_stime, peak))
    sys.stderr.flush()
    os._exit(code)
try:
    main.main()
except SystemExit as end:
    leave(end.code or 0)
"""


class Cost(NamedTuple):
    """Of one run."""

    processor: float  # seconds
    wall: float
    memory: float  # MiB


def run(space: Namespace, root: Path, words: Sequence[str]) -> Cost:
    """One run of symroute-nm in the namespace."""
    command = [
        "nsenter",
        "--net=/run/netns/" + space.name,
        sys.executable,
        "-c",
        MEASURED,
        *words,
        "--root",
        str(root),
    ]
    environment = dict(os.environ, PYTHONPATH=str(TESTS.parent))
    begun = time.perf_counter()
    ran = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, check=False
    )
    wall = time.perf_counter() - begun
    lines = ran.stderr.decode().splitlines()
    if ran.returncode not in (0, 1) or not lines or not lines[-1].startswith("used "):
        sys.exit("failed: {}\n{}".format(" ".join(words), "\n".join(lines)))
    _, processor, peak = lines[-1].split()
    return Cost(float(processor), wall, int(peak) / 1024)


def peer(space: Namespace) -> float:
    """Processor seconds of `ip route`."""
    before = os.times()
    subprocess.run(
        ["ip", "-n", space.name, "route", "show", "table", "all"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after = os.times()
    return (
        after.children_user - before.children_user + after.children_system - before.children_system
    )


def show(name: str, size: Dict[str, int], runs: int) -> None:
    """The rows of one host."""
    with live_host(**size) as (space, root):
        if name == PLANNED:
            run(space, root, ["generate"])
            put_in_force(space, size["uplinks"])
        for words in COMMANDS:
            costs: List[Cost] = [run(space, root, words) for _ in range(runs + 1)][1:]
            processor, wall, memory = map(statistics.median, zip(*costs))
            routes = size.get("containers", 0) + size.get("table", 0)
            print(
                f"{name:>10} {size['uplinks']:8d} {size.get('veths', 0):7d} {routes:7d}  "
                f"{' '.join(words):<18} {processor:8.2f} {wall:8.2f} {memory:8.0f} "
                f"{peer(space):10.2f}",
                flush=True,
            )


def main() -> int:
    """Print the table."""
    runs = int(sys.argv[1]) if sys.argv[1:] else RUNS
    print(
        f"{'host':>10} {'uplinks':>8} {'veths':>7} {'routes':>7}  {'command':<18} "
        f"{'CPU s':>8} {'wall s':>8} {'MiB':>8} {'ip: CPU s':>10}"
    )
    for name, size in ROWS:
        show(name, size, 1 if name == FULL else runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
