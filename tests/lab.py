"""The two-uplink server in its network (`lab_network`), with files of its own, the real dispatcher
script, and the judgement of packets."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import lab_traffic
from dispatcher import SCRIPT
from lab_network import GATEWAY, HOSTS, PORT, SERVER, Network, execute

ROOT = Path(__file__).resolve().parent.parent
SIZE = 20000  # bytes each way: more than one segment, more than the first window
NETWORK_SCRIPTS = "/etc/sysconfig/network-scripts"
IFCFG = """TYPE=Ethernet
DEVICE={0}
BOOTPROTO=none
IPADDR={1}
PREFIX=24
GATEWAY={3}
IPV6INIT=yes
IPV6_AUTOCONF=no
IPV6ADDR={2}/64
IPV6_DEFAULTGW={4}
ONBOOT=yes
"""
DISPATCHER = "/etc/NetworkManager/dispatcher.d"
TOOLS = "/etc/tools"  # commands that a test adds to the server's


class Flow(NamedTuple):
    """One thing that should work: who asks whom, and by what ("ping" or "tcp")."""

    source: str
    kind: str
    destination: str
    port: int = PORT

    @property
    def name(self) -> str:
        """For people, e.g. ``user tcp 10.0.6.5``."""
        port = "" if self.port == PORT else ":%d" % self.port
        return "%s %s %s%s" % (self.source, self.kind, self.destination, port)


class Lab(Network):
    """The network, the server's private files, and what can be done with both; a context manager.

    `profiles` is {device: name of its profile}, `script` the dispatcher script.
    """

    def __init__(self, script: Path, profiles: Dict[str, str], best: str = "eth1") -> None:
        super().__init__(best)
        self.profiles = profiles
        self._script = script
        self._keeper: Optional[subprocess.Popen[bytes]] = None
        self.folder = Path(tempfile.mkdtemp(prefix="symroute-lab-"))

    def build(self) -> None:
        """Make the network, then the files."""
        super().build()
        self._lay_out_files()

    def close(self) -> None:
        """Leave nothing behind, however far the building went."""
        if self._keeper and self._keeper.stdin:
            self._keeper.stdin.close()
            self._keeper.wait()
        super().close()
        shutil.rmtree(str(self.folder))

    # -- the server's files -----------------------------------------------------------------------

    def _lay_out_files(self) -> None:
        """A copy of /etc, and empty /run and /var/lib, seen by the server's commands alone."""
        etc = self.folder / "etc"
        execute(["cp", "-a", "/etc", str(etc)])
        for stale in ("sysconfig/network-scripts", "NetworkManager", "iproute2/rt_tables.d"):
            shutil.rmtree(str(etc / stale), ignore_errors=True)
        self.write("/etc/iproute2/rt_tables.d/README", "")
        installed = self.path(DISPATCHER + "/" + SCRIPT)
        (installed.parent / "pre-up.d").mkdir(parents=True)
        shutil.copyfile(str(self._script), str(installed))
        installed.chmod(0o755)
        (installed.parent / "pre-up.d" / SCRIPT).symlink_to("../" + SCRIPT)
        for device, profile in self.profiles.items():
            text = IFCFG.format(device, *SERVER[device], *GATEWAY[device])
            self.write("%s/ifcfg-%s" % (NETWORK_SCRIPTS, profile), text)
        for bare in ("run", "var-lib"):
            (self.folder / bare).mkdir()
        self._keep_mounts()

    def _keep_mounts(self) -> None:
        """A sleeper holds the mount namespace (made by ip-netns(8)) until our end or death."""
        script = ["cd %s" % self.folder, "mount --bind etc /etc", "mount --bind var-lib /var/lib",
                  "mount --bind run /run", *self.mounts(), "echo ready", "exec cat"]
        self._keeper = subprocess.Popen(
            ["ip", "netns", "exec", self.ns("srv"), "sh", "-c", " && ".join(script)],
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
        command = [sys.executable, "-m", "symroute_nm", *arguments]
        return self.run(command, {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"})

    # -- what NetworkManager does -----------------------------------------------------------------

    def dispatch(self, device: str, action: str) -> str:
        """What the dispatcher script says on stderr for ``pre-up`` or ``down`` of a device."""
        profile = self.profiles[device]
        folder = DISPATCHER + ("/pre-up.d/" if action == "pre-up" else "/")
        environment = {
            "CONNECTION_FILENAME": "%s/ifcfg-%s" % (NETWORK_SCRIPTS, profile),
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
        self.ip("srv", [*flush, "link set %s down" % device])
        return self.dispatch(device, "down")

    def up(self, device: str) -> str:
        """Activate a device again."""
        self.ip("srv", self.configuration(device))
        return self.dispatch(device, "pre-up")

    def down_up(self) -> str:
        """Deactivate every device, then activate each again; what the script says on stderr."""
        return "".join([each(device) for each in (self.down, self.up) for device in self.profiles])

    def rules(self) -> List[str]:
        """The server's rules of both families, without the kernel's own."""
        lines = []
        for family in ("-4", "-6"):
            shown = self.run(["ip", family, "rule"]).stdout.splitlines()
            lines += ["ip %s rule %s" % (family, line) for line in shown]
        return [line for line in lines if line.split()[3] not in ("0:", "32766:", "32767:")]

    def routes(self) -> List[str]:
        """The routes of both families outside main and local, as ip-route(8) prints them."""
        lines = []
        for family in ("-4", "-6"):
            shown = self.run(["ip", family, "route", "show", "table", "all"]).stdout
            lines += ["ip %s route %s" % (family, line) for line in shown.splitlines()]
        return [line for line in lines if " table " in line and " table local " not in line]

    # -- judging ----------------------------------------------------------------------------------

    def flows(self) -> Dict[str, bool]:
        """{name: whether it works} for all that should work on this host."""
        return self.check(self.expected())

    def check(self, flows: List[Flow]) -> Dict[str, bool]:
        """{name: whether it works}, all tried at the same time."""
        ping, exchange = lab_traffic.ping, lab_traffic.exchange
        calls: List[Tuple[str, Callable[..., Any], Tuple[Any, ...]]] = []
        for flow in flows:
            if flow.kind == "ping":
                calls.append((self.ns(flow.source), ping, (flow.destination,)))
            else:
                arguments = (flow.destination, flow.port, SIZE)
                calls.append((self.ns(flow.source), exchange, arguments))
        results = lab_traffic.call_all(calls)
        return {flow.name: result for flow, result in zip(flows, results)}

    def expected(self) -> List[Flow]:
        """All flows that a rightly configured host serves."""
        found = []
        for version in (0, 1):
            for client in ("user", "admin", "neighbour0", "neighbour1"):
                found += _both(client, [each[version] for each in SERVER.values()])
            found += _both("srv", [each[version] for each in HOSTS.values()])
        found += container_flows("container")
        return [*found, Flow("user", "tcp", SERVER[self.best][0], 8080)]


def container_flows(name: str) -> List[Flow]:
    """What a container needs: both of the host's addresses, and the world."""
    return _both(name, [each[0] for each in SERVER.values()] + [HOSTS["outside"][0]])


def _both(source: str, destinations: List[str]) -> List[Flow]:
    return [Flow(source, kind, each) for each in destinations for kind in ("ping", "tcp")]
