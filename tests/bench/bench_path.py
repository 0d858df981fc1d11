"""What policy routing costs each packet: ``python3 tests/bench/bench_path.py`` (root).

Nanoseconds of processor time for a UDP datagram to ever other destinations: each is a route lookup,
since nothing is cached. What is beside the lookup (the system call, the link) is the same in every
row and stands in the first. The kernel goes through the rules in order: `own` are an uplink's own
packets (of the one in the middle), `others` are selected by no rule and pass all of them.
"""

import itertools
import socket
import statistics
import sys
import time
from typing import Any, List

# First: it says where the rest is found.
from live_hosts import live_host, put_in_force  # isort: skip

UPLINKS = (0, 2, 10, 50, 500)
GUARDS = ("rules", "throw")
RUNS, SENDS = 7, 20000
DESTINATIONS = [
    (f"198.{18 + number // 65536}.{number // 256 % 256}.{number % 256}", 9)
    for number in range(0, 131072, 13)
]


def measure(source: str) -> float:
    """Median nanoseconds a datagram; called inside the namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        sender.setblocking(False)
        return statistics.median(send(sender) for _ in range(RUNS))


def send(sender: Any) -> float:
    """Nanoseconds of processor time for each of `SENDS` datagrams."""
    targets = list(itertools.islice(itertools.cycle(DESTINATIONS), SENDS))
    begun = time.process_time()
    for target in targets:
        sender.sendto(b"", target)
    return (time.process_time() - begun) / SENDS * 1e9


def rows(uplinks: int, guard: str) -> List[float]:
    """Rules, own, others."""
    with live_host(max(uplinks, 1)) as (space, _):
        space.ip("addr add 192.0.2.1/32 dev lo")
        rules = put_in_force(space, uplinks, guard) if uplinks else 0
        own = "10.{}.{}.5".format(*divmod(uplinks // 2, 250))
        return [rules, space.call(measure, own), space.call(measure, "192.0.2.1")]


def main() -> int:
    """Print the table."""
    print(
        f"{'uplinks':>8} {'guard':>7} {'rules':>6} {'own':>10} {'others':>10}   "
        f"ns a datagram, medians of {RUNS} x {SENDS}"
    )
    for uplinks in UPLINKS:
        for guard in GUARDS if uplinks else ("-",):
            rules, own, others = rows(uplinks, guard)
            print(f"{uplinks:8d} {guard:>7} {rules:6.0f} {own:10.0f} {others:10.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
