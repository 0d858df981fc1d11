"""How fast a fleet is planned: ``python3 tests/bench/bench_fleet.py [HOSTS] [FOLDER]``.

Copies of the two-uplink snapshot, planned into trees in FOLDER (else the temporary folder): hosts a
second by wall time and by processor time, and the largest process's MiB, which should not grow
with the number of hosts.
"""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Dict, List, Optional

TESTS = Path(__file__).resolve().parent.parent
SNAPSHOT = TESTS / "cases" / "two-uplinks" / "host.json"
HOSTS = 10000
JOBS = (1, 2)


def main() -> int:
    """Print the table."""
    hosts = int(sys.argv[1]) if sys.argv[1:] else HOSTS
    folder = sys.argv[2] if sys.argv[2:] else None
    print(
        f"{'hosts':>7} {'jobs':>5} {'':<10} {'wall s':>8} {'CPU s':>8} "
        f"{'hosts/s':>9} {'/CPU s':>9} {'MiB':>6}"
    )
    for number in (hosts // 10, hosts):
        for jobs in JOBS:
            for words in (["--dry-run", "--json"], []):
                measure(number, jobs, words, folder)
    return 0


def measure(hosts: int, jobs: int, words: List[str], folder: Optional[str]) -> None:
    """One row."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        snapshots = Path(name, "in")
        snapshots.mkdir()
        content = SNAPSHOT.read_bytes()
        for number in range(hosts):
            (snapshots / (f"host{number:05d}.json")).write_bytes(content)
        command = [
            sys.executable,
            "-m",
            "symroute_nm",
            "generate",
            "--host",
            str(snapshots),
            "--root",
            str(Path(name, "out")),
            "--jobs",
            str(jobs),
            *words,
        ]
        begun, before = time.perf_counter(), os.times()
        child = subprocess.Popen(
            command, cwd=str(TESTS.parent), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        peaks: Dict[int, int] = {}
        watcher = threading.Thread(target=watch, args=(child, peaks))
        watcher.start()
        if child.wait():
            sys.exit("failed: {}".format(" ".join(command)))
        wall, after = time.perf_counter() - begun, os.times()
        watcher.join()
        processor = sum(after[2:4]) - sum(before[2:4])
        print(
            f"{hosts:7d} {jobs:5d} {'planned' if words else 'written':<10} {wall:8.1f} "
            f"{processor:8.1f} {hosts / wall:9.0f} {hosts / processor:9.0f} "
            f"{max(peaks.values()) / 1024:6.0f}",
            flush=True,
        )


def watch(child: "subprocess.Popen[bytes]", peaks: Dict[int, int]) -> None:
    """Note the peak memory (KiB) of the process and its children until it ends."""
    while child.poll() is None:
        try:
            children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text()
        except OSError:
            children = ""
        for number in [child.pid, *map(int, children.split())]:
            peaks[number] = max(peaks.get(number, 0), peak(number))
        time.sleep(0.1)


def peak(number: int) -> int:
    """KiB at the peak of a process; 0 where it is gone."""
    try:
        found = re.search(
            r"^VmHWM:\s+([0-9]+) kB$", Path(f"/proc/{number}/status").read_text(), re.M
        )
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


if __name__ == "__main__":
    sys.exit(main())
