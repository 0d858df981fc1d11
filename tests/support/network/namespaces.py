"""One network namespace with a unique name, for tests that ask the real kernel."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, List, Optional, Sequence, Tuple, Type, TypeVar

from support.network import traffic
from support.program import AS_NOBODY
from symroute_nm.kernel.rtnetlink import read_host
from symroute_nm.model.host import Host

_COMMANDS = ("ip", "nsenter", "unshare", "setpriv")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# Names that the kernel gives a link, and that a shell or a terminal would act on.
HOSTILE = (
    b"a*b",
    b"$(x)",
    b"-rf",
    b"eth0;x",
    "ééééééé".encode(),
    b"caf\xe9",
    b"[bold]",
    b"a\x1b[31m",
    b"..x",
    b"a'b\"c",
    b"`id`",
    b"a|b&c",
)

Self = TypeVar("Self", bound="Namespace")


def missing() -> str:
    """Why no namespace can be made here; "" if one can."""
    lacking = [command for command in _COMMANDS if not shutil.which(command, path=_PATH)]
    if lacking:
        return "install the packages with: " + " ".join(lacking)
    if subprocess.call(["unshare", "--net", "true"], stderr=subprocess.DEVNULL):
        return "network namespaces need root (in a container: --privileged)"
    return ""


class Namespace:
    """A network namespace in which nothing happens unasked; a context manager. Needs root."""

    def __init__(self) -> None:
        self.name = f"sr{secrets.token_hex(4)}"

    def __enter__(self: Self) -> Self:
        self._check(["ip", "netns", "add", self.name])
        # Neither autoconfigured nor tentative addresses: what is there, the test has put there.
        self.sysctl("ipv6/conf/default/accept_dad", "0")
        self.sysctl("ipv6/conf/default/addr_gen_mode", "1")
        self.sysctl("ipv6/conf/default/disable_ipv6", "0")
        self.ip("link set lo up")
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        state, tables = self.state, self.tables
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        shutil.rmtree(str(state), ignore_errors=True)
        for place in (tables, tables.with_name(tables.name + ".trial")):
            with contextlib.suppress(FileNotFoundError):
                place.unlink()

    @property
    def state(self) -> Path:
        """The folder of what symroute-nm keeps of this kernel."""
        return Path("/run/symroute-nm", self._inode)

    @property
    def tables(self) -> Path:
        """The file of the names of tables that no file names."""
        return Path("/run/symroute-nm-tables", self._inode)

    @property
    def _inode(self) -> str:
        return f"net-{Path('/run/netns', self.name).stat().st_ino}"

    def ip(self, lines: str, *options: str) -> None:
        """Run lines of ip-batch, with e.g. ``-6``; the first that fails is an AssertionError."""
        batch = [line.strip() for line in lines.splitlines() if line.strip()]
        self._check(["ip", *options, "-n", self.name, "-batch", "-"], "\n".join(batch) + "\n")

    def link(self, name: bytes, *words: str) -> None:
        """``ip link add NAME …`` with a name that may be any bytes."""
        command = ["ip", "-n", self.name, "link", "add", "name", os.fsdecode(name), *words]
        subprocess.run(command, check=True)

    def ask(self, *words: str) -> Any:
        """What ``ip -json`` answers, with numbers for names."""
        output = self._check(["ip", "-n", self.name, "-N", "-d", "-json", *words])
        return json.loads(output or "[]")

    def sysctl(self, name: str, value: str) -> None:
        """Write a file below /proc/sys/net."""
        traffic.call_inside(self.name, traffic.set_sysctls, [(name, value)])

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function` returns when called inside."""
        return traffic.call_inside(self.name, function, *arguments)

    def run(
        self, command: Sequence[str], **environment: str
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a command inside, with little in its environment."""
        return subprocess.run(
            ["nsenter", "--net=/run/netns/" + self.name, *command],
            env=dict({"PATH": _PATH, "LC_ALL": "C.UTF-8"}, **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )

    def symroute(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
        """Run symroute-nm inside."""
        return self.run([sys.executable, "-m", "symroute_nm", *arguments], **environment)

    def symroute_as_nobody(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        """Run symroute-nm inside as a user without any privilege."""
        return self.run([sys.executable, "-c", AS_NOBODY, *arguments])

    def python(self, code: str) -> "subprocess.CompletedProcess[bytes]":
        """Run Python code inside."""
        return self.run([sys.executable, "-c", code])

    def _check(self, command: List[str], text: str = "") -> str:
        ran = subprocess.run(
            command,
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
            env={"PATH": _PATH},
        )
        assert ran.returncode == 0, "{}: {}".format(" ".join(command), ran.stderr.decode())
        return ran.stdout.decode()


def two_uplinks(space: Namespace, order: Tuple[int, int] = (0, 1)) -> None:
    """Give it the two-uplink host of the examples, its uplinks made in this order."""
    rows = (
        ("eth0", 2, "6", 100),
        ("eth1", 3, "5", 50),
    )
    for name, index, network, metric in (rows[each] for each in order):
        space.ip(
            f"""
            link add {name} index {index} address 52:54:00:00:00:0{index} type veth \
                peer far{index} index 1{index}
            link set far{index} address 52:54:00:00:01:0{index} up
            link set {name} up
            addr add 10.0.{network}.5/24 dev {name}
            addr add 2001:db8:{network}::5/64 dev {name} nodad
            route add default via 10.0.{network}.1 dev {name} metric {metric}
            """
        )
        space.ip(
            f"route add default via 2001:db8:{network}::1 dev {name} metric {metric}",
            "-6",
        )


def kernel(space: Namespace, probe: bool = False) -> Host:
    """The host that the kernel has there, as our reader sees it."""
    host: Host = space.call(read_host, probe)
    return host
