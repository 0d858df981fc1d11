"""How long a plan and its proof take on large hosts: ``python3 tests/bench/bench_plan.py``.

Each row is a process of its own, so that its peak memory is its own: uplinks by VLAN, and routes
in main to containers behind one bridge.
"""

import gc
import resource
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from support import hosts
from support.hosts import make_plan
from symroute_nm.model.settings import Settings
from symroute_nm.rpdb.proof import prove

ROWS = ((2, 0), (2, 20000), (50, 20000), (200, 20000), (500, 0), (500, 20000))


def build(uplinks: int, containers: int) -> hosts.Host:
    """A host with so many uplinks and so many container routes."""
    names = [f"eth{number}" for number in range(uplinks)]
    networks = ["10.{}.{}".format(*divmod(number, 250)) for number in range(uplinks)]
    links = [hosts.link(number + 2, name) for number, name in enumerate(names)]
    addresses = [hosts.address(name, base + ".5/24") for name, base in zip(names, networks)]
    routes = [
        hosts.route("default", name, base + ".1", metric=number)
        for number, (name, base) in enumerate(zip(names, networks))
    ]
    routes += [
        hosts.route(
            f"172.{16 + number // 65536}.{number // 256 % 256}.{number % 256}/32", "docker0"
        )
        for number in range(containers)
    ]
    docker = hosts.link(uplinks + 2, "docker0", kind="bridge")
    return hosts.host([*links, docker], addresses, routes)


def measure(uplinks: int, containers: int) -> None:
    """One row: seconds for plan and proof, planned routes, MiB."""
    gc.disable()  # as the command does
    there, settings = build(uplinks, containers), Settings()
    begin = time.perf_counter()
    plan = make_plan(there, settings)
    planned = time.perf_counter()
    proof = prove(there, settings, plan)
    proved = time.perf_counter()
    routes = sum(len(uplink.routes) for uplink in plan.uplinks)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{uplinks:7d} {containers:10d} {planned - begin:8.2f} {proved - planned:8.2f} "
        f"{routes:14d} {memory:6d}  {'proved' if proof.holds else 'refused'}",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(int(sys.argv[1]), int(sys.argv[2]))
    else:
        print(
            f"{'uplinks':>7} {'containers':>10} {'plan s':>8} {'prove s':>8} "
            f"{'planned routes':>14} {'MiB':>6}",
            flush=True,
        )
        for row in ROWS:
            subprocess.run([sys.executable, __file__, *map(str, row)], check=True)
