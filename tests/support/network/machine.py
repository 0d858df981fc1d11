"""A server in a network namespace: files of its own, the real dispatcher script, and what
NetworkManager does with it."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from support.network.dispatcher import SCRIPT
from support.network.topology import batch
from support.program import ROOT

NETWORK_SCRIPTS = "/etc/sysconfig/network-scripts"
DISPATCHER = "/etc/NetworkManager/dispatcher.d"
TOOLS = "/etc/tools"  # commands that a test adds to the server's


class Machine:
    """The files of the server in `namespace`, and its commands; `leave` when it is done with.

    `profiles` is {device: name of its profile}, `script` the dispatcher script. Who inherits says
    in `configuration` what NetworkManager does before pre-up.
    """

    def __init__(self, script: Path, namespace: str, profiles: Dict[str, str]) -> None:
        self.profiles = profiles
        self._script = script
        self._namespace = namespace
        self._keeper: Optional[subprocess.Popen[bytes]] = None
        self.folder = Path(tempfile.mkdtemp(prefix="symroute-lab-"))

    def configuration(self, device: str) -> List[str]:
        """The ip commands for a device: up, addresses, default routes."""
        raise NotImplementedError

    def leave(self) -> None:
        """Remove the files, and let the namespace go."""
        if self._keeper and self._keeper.stdin:
            self._keeper.stdin.close()
            self._keeper.wait()
        shutil.rmtree(str(self.folder))

    # -- the server's files -----------------------------------------------------------------------

    def lay_out_files(self) -> None:
        """A copy of /etc, and empty /run and /var/lib, seen by the server's commands alone."""
        etc = self.folder / "etc"
        subprocess.run(["cp", "-a", "/etc", str(etc)], check=True)
        for stale in ("sysconfig/network-scripts", "NetworkManager", "iproute2/rt_tables.d"):
            shutil.rmtree(str(etc / stale), ignore_errors=True)
        for unit in etc.glob("systemd/system/*.wants/firewalld.service"):
            unit.unlink()  # it comes enabled with its package
        self.write("/etc/iproute2/rt_tables.d/README", "")
        installed = self.path(DISPATCHER + "/" + SCRIPT)
        (installed.parent / "pre-up.d").mkdir(parents=True)
        shutil.copyfile(str(self._script), str(installed))
        installed.chmod(0o755)
        (installed.parent / "pre-up.d" / SCRIPT).symlink_to("../" + SCRIPT)
        for bare in ("run", "var-lib"):
            (self.folder / bare).mkdir()
        self._keep_mounts()

    def _keep_mounts(self) -> None:
        """A sleeper holds the mount namespace (made by ip-netns(8)) until our end or death."""
        script = [
            f"cd {self.folder}",
            "mount --bind etc /etc",
            "mount --bind var-lib /var/lib",
            "mount --bind run /run",
            *self.mounts(),
            "echo ready",
            "exec cat",
        ]
        self._keeper = subprocess.Popen(
            ["ip", "netns", "exec", self._namespace, "sh", "-c", " && ".join(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._keeper.stdout
        with self._keeper.stdout as output:
            assert output.readline() == b"ready\n", "the server's private mounts failed"

    def mounts(self) -> List[str]:
        """More commands of the shell that lays out what the server sees."""
        return []

    def path(self, path: str) -> Path:
        """Where a file below the server's /etc really is."""
        return self.folder / path.lstrip("/")

    def write(self, path: str, text: str) -> None:
        """Write a file below the server's /etc."""
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def files(self) -> Dict[str, Tuple[bytes, int]]:
        """{path: (content, mtime in ns)} of the server's files that our tools may write."""
        found = {}
        for part in ("etc/sysconfig", "etc/iproute2", "etc/NetworkManager", "var-lib"):
            for path in sorted((self.folder / part).rglob("*")):
                if path.is_file():
                    name = str(path.relative_to(self.folder))
                    found[name] = (path.read_bytes(), path.stat().st_mtime_ns)
        return found

    def run(
        self, command: List[str], environment: Optional[Dict[str, str]] = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command on the server: its network, its files, and `environment` alone."""
        assert self._keeper
        inside = ["nsenter", "-t", str(self._keeper.pid), "-m", "-n"]
        path = {"PATH": TOOLS + ":/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            inside + command,
            env=dict(path, **(environment or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            check=False,
            timeout=60,
        )

    def symroute(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run this tree's symroute-nm on the server."""
        return self.python("-m", "symroute_nm", *arguments)

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run Python with this tree's package on the server."""
        return self.run(
            [sys.executable, *arguments], {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        )

    # -- what NetworkManager does -----------------------------------------------------------------

    def dispatch(self, device: str, action: str) -> str:
        """What the dispatcher script says on stderr for ``pre-up`` or ``down`` of a device."""
        profile = self.profiles[device]
        folder = DISPATCHER + ("/pre-up.d/" if action == "pre-up" else "/")
        environment = {
            "CONNECTION_FILENAME": f"{NETWORK_SCRIPTS}/ifcfg-{profile}",
            "CONNECTION_UUID": "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03",
            "CONNECTION_ID": profile.replace("_", " "),
            "DEVICE_IFACE": device,
            "DEVICE_IP_IFACE": device,
        }
        return self.run([folder + SCRIPT, device, action], environment).stderr

    def boot(self) -> str:
        """pre-up of every device; what the script says on stderr."""
        return "".join(self.dispatch(device, "pre-up") for device in self.profiles)

    def down(self, device: str) -> str:
        """Deactivate a device: emptied first, then ``down`` is dispatched (NetworkManager(8))."""
        flush = ["addr flush dev " + device, "route flush dev " + device]
        batch([*flush, f"link set {device} down"], self._namespace)
        return self.dispatch(device, "down")

    def up(self, device: str) -> str:
        """Activate a device again."""
        batch(self.configuration(device), self._namespace)
        return self.dispatch(device, "pre-up")

    def down_up(self) -> str:
        """Deactivate every device, then activate each again; what the script says on stderr."""
        return "".join([each(device) for each in (self.down, self.up) for device in self.profiles])

    def rules(self) -> List[str]:
        """The server's rules of both families, without the kernel's own."""
        lines = []
        for family in ("-4", "-6"):
            shown = self.run(["ip", family, "rule"]).stdout.splitlines()
            lines += [f"ip {family} rule {line}" for line in shown]
        return [line for line in lines if line.split()[3] not in ("0:", "32766:", "32767:")]

    def routes(self) -> List[str]:
        """The routes of both families outside main and local, as ip-route(8) prints them."""
        lines = []
        for family in ("-4", "-6"):
            shown = self.run(["ip", family, "route", "show", "table", "all"]).stdout
            lines += [f"ip {family} route {line}" for line in shown.splitlines()]
        return [line for line in lines if " table " in line and " table local " not in line]
