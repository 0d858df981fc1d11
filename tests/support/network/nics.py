"""A server whose NICs come, go and change, as NetworkManager and the kernel have it then."""

import secrets
import shlex
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Type

from support.network import traffic
from support.network.machine import NETWORK_SCRIPTS, Machine
from support.network.topology import QUIET, batch, execute

_IFCFG = """TYPE=Ethernet
NAME=System {profile}
HWADDR={mac}
BOOTPROTO=none
IPADDR={four}.{host}
PREFIX=24
GATEWAY={four}.{gateway}
IPV6INIT=yes
IPV6ADDR={six}::{host}/64
IPV6_DEFAULTGW={six}::{gateway}
ONBOOT=yes
"""


class Nic(NamedTuple):
    """A network card: its number is in its hardware address, its network's in its addresses."""

    number: int
    name: str
    network: int
    profile: str = ""  # bound by HWADDR; "" for the name
    host: int = 5
    gateway: int = 1

    @property
    def words(self) -> Dict[str, object]:
        """What stands in its profile and in `ip` commands."""
        return {
            "mac": f"52:54:00:00:00:{self.number:02x}",
            "name": self.name,
            "host": self.host,
            "profile": self.profile or self.name,
            "four": f"10.0.{self.network}",
            "six": f"2001:db8:{self.network}",
            "gateway": self.gateway,
            "metric": 100 + self.number,
        }


class NicHost(Machine):
    """The server with these cards, their profiles, and what is behind the cables; a context
    manager."""

    def __init__(self, script: Path, nics: Sequence[Nic]) -> None:
        self._name = f"sr{secrets.token_hex(4)}"
        self.nics: Dict[str, Nic] = {}
        self._first = nics
        super().__init__(script, self._name, {})

    def __enter__(self) -> "NicHost":
        for name in (self._name, self._name + "-far"):
            execute(["ip", "netns", "add", name])
            traffic.call_inside(name, traffic.set_sysctls, QUIET)
        self.lay_out_files()
        for nic in self._first:
            self.plug(nic)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        for name in (self._name, self._name + "-far"):
            subprocess.run(["ip", "netns", "del", name], check=False)
        self.leave()

    def configuration(self, device: str) -> List[str]:
        """What NetworkManager does before pre-up."""
        words = self.nics[device].words
        return [
            each.format(**words)
            for each in (
                "link set {name} up",
                "addr add {four}.{host}/24 dev {name}",
                "addr add {six}::{host}/64 dev {name} nodad",
                "route add default via {four}.{gateway} dev {name} metric {metric}",
                "route add default via {six}::{gateway} dev {name} metric {metric}",
            )
        ]

    # -- what people do ---------------------------------------------------------------------------

    def plug(self, nic: Nic) -> None:
        """Add a card with its profile; its connection comes up."""
        words = dict(nic.words, far=self._name + "-far")
        batch(
            [
                "link add {name} address {mac} type veth peer name far{number} netns {far}".format(
                    number=nic.number, **words
                )
            ],
            self._name,
        )
        batch([f"link set far{nic.number} up"], self._name + "-far")
        self.configure(nic)

    def unplug(self, device: str) -> None:
        """Take a card out; its profile stays. Its connection goes down first."""
        self.down(device)
        batch(["link del " + device], self._name)
        del self.nics[device], self.profiles[device]

    def configure(self, nic: Nic) -> None:
        """Write a card's profile, and bring its connection up."""
        self.nics[nic.name], self.profiles[nic.name] = nic, str(nic.words["profile"])
        self.write(self.ifcfg(nic), _IFCFG.format(**nic.words))
        self.up(nic.name)

    def ifcfg(self, nic: Nic) -> str:
        """The path of a card's profile."""
        return "{}/ifcfg-{}".format(NETWORK_SCRIPTS, nic.words["profile"])

    def change(self, pairs: Sequence[Tuple[Nic, Nic]]) -> None:
        """Give cards other names, which they may exchange, profiles, addresses or gateways."""
        for before, _ in pairs:
            self.down(before.name)
            batch([f"link set {before.name} name old-{before.name}"], self._name)
            self.path(self.ifcfg(before)).unlink()
            del self.nics[before.name], self.profiles[before.name]
        for before, after in pairs:
            batch([f"link set old-{before.name} name {after.name}"], self._name)
        for _, after in pairs:
            self.configure(after)

    def follow(self, commands: Sequence[str]) -> None:
        """Do what `generate` says: bring connections up, delete what no file lists any more."""
        devices = {"System " + profile: device for device, profile in self.profiles.items()}
        for command in commands:
            words = shlex.split(command)
            if words[:3] == ["nmcli", "connection", "up"]:
                self.down(devices[words[-1]])
                self.up(devices[words[-1]])
            else:
                assert self.run(words).returncode == 0, command
