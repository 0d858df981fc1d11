"""What the files cost at boot: ``python3 tests/bench/bench_boot.py`` (root).

The real dispatcher script runs for each uplink as NetworkManager runs it, in a network namespace:
lines in its files, and milliseconds from start to end. A line is a process: `ip` is the peer.
"""

import statistics
import subprocess
import sys
import time
from typing import List, Tuple

# First: it says where the rest is found.
from live_hosts import model, run_lines, uplink_lines  # isort: skip

from support.hosts import make_plan
from support.network import dispatcher
from support.network.machine import Machine
from support.network.namespaces import Namespace
from symroute_nm.model.settings import Settings
from symroute_nm.targets.ifcfg.render import render

UPLINKS = (2, 10, 50, 500)
GUARDS = ("rules", "throw")
MEASURED = 10  # uplinks of each host


def boot(uplinks: int, guard: str) -> Tuple[float, List[float]]:
    """Lines an uplink, and the seconds that the script takes for some of the uplinks."""
    host = model(uplinks)
    made = make_plan(host, Settings(guard=guard))
    files = render(made, host)
    lines = sum(not line.startswith("#") for text in files.values() for line in text.splitlines())
    with Namespace() as space:
        run_lines(space, uplink_lines(uplinks))
        profiles = {
            each.link.name: each.link.name for each in [planned.uplink for planned in made.uplinks]
        }
        machine = Machine(dispatcher.find_script(), space.name, profiles)
        try:
            machine.lay_out_files()
            for path, text in files.items():
                machine.write(path, text)
            for name in profiles:
                machine.write("/etc/sysconfig/network-scripts/ifcfg-" + name, f"DEVICE={name}\n")
            return lines / uplinks, [dispatch(machine, name) for name in list(profiles)[:MEASURED]]
        finally:
            machine.leave()


def dispatch(machine: Machine, name: str) -> float:
    """Seconds; the script must not complain."""
    begun = time.perf_counter()
    said = machine.dispatch(name, "pre-up")
    seconds = time.perf_counter() - begun
    if said:
        sys.exit(f"{name}: {said}")
    return seconds


def ip_seconds() -> float:
    """Seconds that one ip(8) takes, as each line does."""
    with Namespace() as space:
        times = []
        for number in range(1, 102):
            begun = time.perf_counter()
            subprocess.run(
                ["ip", "-n", space.name, "rule", "add", "priority", str(number), "lookup", "7"],
                check=True,
            )
            times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main() -> int:
    """Print the table."""
    print(
        f"{'uplinks':>8} {'guard':>7} {'lines an uplink':>16} {'ms an uplink':>12}   "
        f"(one ip command: {ip_seconds() * 1000:.1f} ms)"
    )
    for uplinks in UPLINKS:
        for guard in GUARDS:
            lines, seconds = boot(uplinks, guard)
            print(
                f"{uplinks:8d} {guard:>7} {lines:16.1f} {statistics.median(seconds) * 1000:12.1f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
