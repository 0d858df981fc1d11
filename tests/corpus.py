"""Real files of administrators: what NetworkManager and the script made of them, and we.

    python tests/corpus.py FOLDER [HOST ...]

FOLDER/ifcfg/HOST has etc/…, case.json (links and their addresses), nm.json (NetworkManager's view
of the profiles) and script.json (what the dispatcher script put into the kernel). It compares
our view
with both and then, in a namespace that has the host's links, a second uplink and the real script:
generate, boot, verify, remove, undo. The exit code is 1 for what `EXPLAINED` does not explain. It
needs root, and stands beside CI: FOLDER is not part of the repository.
"""

import ipaddress
import json
import re
import sys
import traceback
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

from support.network import dispatcher
from support.network.machine import NETWORK_SCRIPTS, Machine
from support.network.namespaces import Namespace
from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import parse_rule, read_lines
from symroute_nm.model.network import IPAddress, Rule
from symroute_nm.readers import rt_tables
from symroute_nm.readers.ifcfg import profiles as ifcfg
from symroute_nm.targets.ifcfg.listing import table_numbers

SECOND = "second0"  # a host of one uplink gets another, so that there is something to do
SECOND_IFCFG = (
    "DEVICE=second0\nTYPE=Ethernet\nBOOTPROTO=none\nONBOOT=yes\n"
    "IPADDR=10.253.77.5\nPREFIX=24\nGATEWAY=10.253.77.1\n"
)
STATIC = 4  # rtnetlink(7): what NetworkManager stamps its routes with
OK, REFUSED = 0, 3


class Disagreement(NamedTuple):
    """One thing that we see otherwise than they; `kind` is for counting."""

    kind: str
    host: str
    text: str


# (kind, host): why it is right all the same.
EXPLAINED: Dict[Tuple[str, str], str] = {
    (
        "the script says",
        "note-default-without-via",
    ): "two lines that NetworkManager passes over, and ip refuses: generate names them",
}


class Case:
    """A host of the corpus."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.folder = folder
        self.links = {
            name: (mac, addresses.split(","))
            for name, mac, addresses in self._links(self._read("case.json")["links"])
        }
        self.nm = self._read("nm.json")
        self.script = self._read("script.json")
        bare = self.nm.get("without-rule-files", {})
        self.bare = bare.get("profiles", bare)

    def _read(self, name: str) -> Dict[str, Any]:
        path = self.folder / name
        read: Dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return read

    def _links(self, links: Dict[str, str]) -> Iterator[Tuple[str, str, str]]:
        for text, addresses in links.items():
            name, _, mac = text.partition("@")
            yield name, mac, addresses

    @property
    def scripts(self) -> Path:
        """The folder of its ifcfg, route and rule files."""
        return self.folder / NETWORK_SCRIPTS[1:]

    @property
    def profiles(self) -> Dict[str, str]:
        """{link: the profile that NetworkManager has for it}."""
        found = {}
        for file, profile in self.nm.get("profiles", {}).items():
            if profile["connection.interface-name"] in self.links:
                found[profile["connection.interface-name"]] = file[len("ifcfg-") :]
        return found


# -- our view of the files ----------------------------------------------------------------------


def compare_profiles(case: Case) -> Iterator[Tuple[str, str]]:
    """Profiles that NetworkManager loads or drops, and what they are called."""
    theirs = case.nm.get("profiles", {})
    ours = {"ifcfg-" + profile.name: profile for profile in ifcfg.read_profiles(case.folder)}
    for name, profile in ours.items():
        if name not in theirs and profile.managed and not profile.problem:
            yield "profile that NetworkManager drops", name
    for name, values in theirs.items():
        profile = ours.get(name)
        if profile is None or profile.problem or not profile.managed:
            yield "profile that NetworkManager loads", f"{name}: {profile and profile.problem}"
            continue
        for kind, our, their in (
            ("name of a connection", profile.id, values["connection.id"]),
            ("UUID", profile.uuid, values["connection.uuid"]),
            ("device", profile.device, values["connection.interface-name"]),
            ("HWADDR", profile.hwaddr, values.get("802-3-ethernet.mac-address", "").lower()),
        ):
            # Of a bond and its like nmcli shows no such line.
            if our != their and not (kind == "HWADDR" and not their):
                yield kind, f"{name}: {our!r}, not {their!r}"
        gateway = values.get("ipv4.gateway")
        if gateway and gateway not in map(str, profile.gateways):
            yield "gateway", f"{name}: {gateway}"


def compare_rules(case: Case) -> Iterator[Tuple[str, str]]:
    """Rules that the script put into the kernel, and those that we read."""
    tables = table_numbers(Host(tables=rt_tables.read_tables(case.folder)))
    ours: List[Rule] = []
    for version, _, line in script_lines(case, "rule"):
        rule = parse_rule(line, version, tables)
        if rule is not None:
            ours.append(rule)
    theirs = [_kernel_rule(text, tables) for text in case.script.get("rules-added", [])]
    left = list(theirs)
    for rule in ours:
        same = [other for other in left if other == _numbered(rule, other)]
        if same:
            left.remove(same[0])
        else:
            yield "rule that the kernel has not", str(rule)
    for rule in left:
        yield "rule that we do not read", str(rule)


def _kernel_rule(text: str, tables: Dict[str, int]) -> Any:
    found = re.fullmatch(r"-([46]) ([0-9]+): (.*)", text)
    assert found, text
    rule = parse_rule(found.group(3), int(found.group(1)), tables)
    return rule and rule._replace(priority=int(found.group(2)))


def _numbered(rule: Rule, other: Any) -> Rule:
    return rule if rule.priority or other is None else rule._replace(priority=other.priority)


def script_profiles(case: Case) -> Iterator[Tuple[str, str]]:
    """Link and profile of all that the script was run for, NM_CONTROLLED=no among them."""
    ours = ifcfg.read_profiles(case.folder)
    for link in case.links:
        if link in case.profiles:
            yield link, case.profiles[link]
        else:
            names = [profile.name for profile in ours if profile.device == link]
            yield link, names[0] if names else link


def script_lines(case: Case, kind: str) -> Iterator[Tuple[int, str, str]]:
    """Family, link and line of what the dispatcher script gives to `ip`, in its order."""
    for link, profile in script_profiles(case):
        if not any((case.scripts / (rule + profile)).is_file() for rule in ("rule-", "rule6-")):
            continue
        for name in dict.fromkeys((link, profile)):
            for version, prefix in ((4, kind + "-"), (6, kind + "6-")):
                path = case.scripts / (prefix + name)
                if path.is_file():
                    for line in read_lines(path.read_text(errors="surrogateescape")):
                        yield version, link, line


# -- there and back -------------------------------------------------------------------------------


class Server(Machine):
    """The host in a namespace: links, addresses, and what NetworkManager would apply."""

    def __init__(self, case: Case, script: Path, space: Namespace) -> None:
        self.case = case
        self.space = space
        super().__init__(script, space.name, {**case.profiles, SECOND: SECOND})
        self.lay_out_files()
        for path in sorted(case.folder.joinpath("etc").rglob("*")):
            if path.is_file():
                target = self.path("/" + str(path.relative_to(case.folder)))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        self.write(f"{NETWORK_SCRIPTS}/ifcfg-{SECOND}", SECOND_IFCFG)

    def links(self) -> None:
        """Everything gone, and the links there again with their addresses."""
        for link in self.space.ask("link"):
            if link.get("linkinfo", {}).get("info_kind") == "veth":
                self.run(["ip", "link", "del", link["ifname"]])
        for family in ("-4", "-6"):
            for rule in self.space.ask(family, "rule"):
                if rule["priority"] not in (0, 32766, 32767):
                    self.run(["ip", family, "rule", "del", "pref", str(rule["priority"])])
            for kind in ("throw", "unreachable", "blackhole", "prohibit"):
                for route in self.space.ask(family, "route", "show", "table", "all", "type", kind):
                    table = str(route.get("table", "main"))
                    self.run(["ip", family, "route", "del", kind, route["dst"], "table", table])
        links = {**self.case.links, SECOND: ("", ["10.253.77.5/24"])}
        for number, (name, (given, addresses)) in enumerate(links.items(), 10):
            mac = given or self.hardware_address(name)
            address = f"address {mac}" if mac else ""
            self.space.ip(
                f"link add {name} index {number} {address} type veth "
                f"peer name far{number} index {number + 100}"
            )
            self.space.ip(f"link set far{number} up\nlink set {name} up")
            for text in filter(None, addresses):
                more = "nodad" if ":" in text else ""
                self.space.ip(f"addr add {text} dev {name} {more}")

    def hardware_address(self, link: str) -> str:
        """What the profile of a link is bound to."""
        values = self.case.nm["profiles"].get("ifcfg-" + self.case.profiles.get(link, ""), {})
        address: str = values.get("802-3-ethernet.mac-address", "")
        return address

    def start(self) -> str:
        """As NetworkManager does at boot; what the script says on stderr."""
        self.links()
        said = ""
        for number, (link, profile) in enumerate(self.profiles.items()):
            for command in self.networkmanager(link, profile, 101 + number):
                ran = self.run(["ip", *command.split()])
                if ran.returncode:
                    raise AssertionError(f"ip {command}: {ran.stderr.strip()}")
            said += self.dispatch(link, "pre-up")
        return said

    def networkmanager(self, link: str, profile: str, metric: int) -> Iterator[str]:
        """The routes that NetworkManager itself applies for a link."""
        if link == SECOND:
            yield f"route add default via 10.253.77.1 dev {SECOND} proto static metric 150"
            return
        now = self.case.nm["profiles"]["ifcfg-" + profile]
        ruled = any(self.path(f"{NETWORK_SCRIPTS}/{rule}-{profile}").exists() for rule in RULES)
        bare = self.case.bare.get("ifcfg-" + profile) or now
        for version in ("4", "6"):
            gateway = now.get(f"ipv{version}.gateway")
            routes = "" if ruled else bare.get(f"ipv{version}.routes", "")
            if gateway and now[f"ipv{version}.never-default"] == "no":
                routes = f"{'::/0' if version == '6' else '0.0.0.0/0'} {gateway}, {routes}"
            # What leads to a link alone comes first, as NetworkManager does it.
            texts = [text for text in routes.split(", ") if text]
            for text in sorted(texts, key=_has_gateway):
                yield f"-{version} route replace {self.as_ip(text, link, metric)}"

    def as_ip(self, text: str, link: str, metric: int) -> str:
        """NetworkManager's text of a route as `ip route` takes it."""
        destination, *rest = text.split(" ")
        options = [word.split("=", 1) for word in rest if "=" in word]
        plain = [word for word in rest if "=" not in word]
        gateway = next((word for word in plain if not word.isdigit()), "")
        number = next((word for word in plain if word.isdigit()), str(metric))
        line = [str(ipaddress.ip_network(destination, strict=False))]
        if gateway:
            line += ["via", gateway]
        line += ["dev", link, "proto", "static", "metric", number]
        # nm_l3_config_data: what lies outside the link's networks is reached all the same.
        if gateway and not self.is_on(link, ipaddress.ip_address(gateway)):
            line.append("onlink")
        for key, value in options:
            line += [key, value]
        return " ".join(line)

    def is_on(self, link: str, gateway: IPAddress) -> bool:
        """Whether an address is link-local, or lies in a network of the link."""
        networks = [
            ipaddress.ip_interface(text).network for text in self.case.links[link][1] if text
        ]
        values = self.case.nm["profiles"]["ifcfg-" + self.case.profiles[link]]
        for text in f"{values['ipv4.routes']}, {values['ipv6.routes']}".split(", "):
            if text and " " not in text:  # leads to the link itself
                networks.append(ipaddress.ip_network(text, strict=False))
        return gateway.is_link_local or any(gateway in network for network in networks)

    def main(self) -> Dict[str, List[Tuple[str, ...]]]:
        """{destination: gateway and link of main's routes there, the best first}."""
        found: Dict[str, List[Tuple[int, Tuple[str, ...]]]] = {}
        for family in ("-4", "-6"):
            for route in self.space.ask(family, "route", "show", "table", "main"):
                if route.get("protocol") in ("kernel", "2") or "dev" not in route:
                    continue
                way = (route.get("gateway", ""), route["dev"])
                key = route["dst"] if route["dst"] != "default" else "default" + family
                found.setdefault(key, []).append((route.get("metric", 0), way))
        return {
            key: list(dict.fromkeys(way for _, way in sorted(ways, key=lambda item: item[0])))
            for key, ways in found.items()
        }

    def etc(self) -> Dict[str, bytes]:
        """{path: content} of the files that we may write."""
        return {
            path: content
            for path, (content, _) in self.files().items()
            if path.startswith("etc/") and not path.endswith("rt_tables.d/README")
        }


RULES = ("rule", "rule6")


def _has_gateway(text: str) -> bool:
    """Whether one of NetworkManager's texts of a route has a gateway."""
    words = [word for word in text.split(" ")[1:] if "=" not in word and not word.isdigit()]
    return bool(words)


def there_and_back(case: Case, script: Path) -> Iterator[Tuple[str, str]]:
    """Generate, boot, verify, remove, undo."""
    with Namespace() as space:
        server = Server(case, script, space)
        try:
            yield from _there_and_back(server)
        finally:
            server.leave()


def _there_and_back(server: Server) -> Iterator[Tuple[str, str]]:  # noqa: C901  # one step after the other
    said_before = server.start()
    before, main = server.etc(), server.main()
    options = list(_gateways(server))
    ran = server.symroute("generate", *options)
    if ran.returncode == REFUSED:
        yield "refused", ran.stderr.strip()
        # What the message says would work, written so on request.
        options.append("--convert")
        ran = server.symroute("generate", *options)
    if ran.returncode == REFUSED:
        yield "refused with --convert, too", ran.stderr.strip()
        return
    if ran.returncode != OK:
        yield "generate failed", f"exit {ran.returncode}: {ran.stderr.strip()[-1500:]}"
        return
    notes = "\n".join(line for line in ran.stderr.splitlines() if "warning" in line)
    if notes:
        yield "warned", notes
    if server.etc() == before:
        yield "nothing to do", ran.stdout.strip().splitlines()[0] if ran.stdout.strip() else ""
        return
    said = server.start()
    for line in _new(said, said_before):
        yield "the script says", line
    after = server.main()
    for destination, ways in main.items():
        if not after.get(destination):
            yield "route lost", f"{destination}: {ways}"
        elif after[destination][0] != ways[0]:
            yield "main changed", f"{destination}: {ways[0]} -> {after[destination][0]}"
    ran = server.symroute("verify", *(word for word in options if word != "--convert"))
    if ran.returncode:
        yield "verify", f"exit {ran.returncode}: {ran.stdout.strip()} {ran.stderr.strip()}"
    ran = server.symroute("remove")
    kept = server.etc() if "--convert" in options else before  # a converted file stays so
    if ran.returncode or server.etc() != kept:
        yield "remove", f"exit {ran.returncode}: {_differences(server.etc(), before)} {ran.stderr}"
    before = server.etc()
    server.start()
    server.symroute("generate", *options)
    ran = server.symroute("undo")
    if ran.returncode or server.etc() != before:
        yield "undo", f"exit {ran.returncode}: {_differences(server.etc(), before)} {ran.stderr}"


def _new(said: str, before: str) -> List[str]:
    rest = before.splitlines()
    found = []
    for line in said.splitlines():
        if line in rest:
            rest.remove(line)
        else:
            found.append(line)
    return found


def _differences(after: Dict[str, bytes], before: Dict[str, bytes]) -> List[str]:
    return sorted(path for path in {*after, *before} if after.get(path) != before.get(path))


def _gateways(server: Server) -> Iterator[str]:
    """Where nothing tells a link's gateway, the first address of its network is one."""
    known = {way[1] for ways in server.main().values() for way in ways if way[0]}
    for link, (_, addresses) in server.case.links.items():
        first = addresses[0]
        if link in known or not first or ":" in first or link not in server.profiles:
            continue
        interface = ipaddress.ip_interface(first)
        if interface.network.prefixlen < 31:
            gateway = interface.network.network_address + 1
            if gateway == interface.ip:
                gateway += 1
            yield from ("--gateway", f"{link}={gateway}")


# -- all together ---------------------------------------------------------------------------------

INFORMATIVE = {"refused", "refused with --convert, too", "nothing to do", "warned"}


def check(case: Case, script: Path) -> Iterator[Tuple[str, str]]:
    """All that there is to compare with a host."""
    if case.nm:
        yield from compare_profiles(case)
    if case.script:
        yield from compare_rules(case)
        if case.profiles:
            yield from there_and_back(case, script)


def main(words: Sequence[str]) -> int:
    """The exit code."""
    if not words:
        print(__doc__)
        return 2
    names = set(words[1:])
    found: List[Disagreement] = []
    script = dispatcher.find_script()
    for folder in sorted(Path(words[0], "ifcfg").iterdir()):
        if names and folder.name not in names:
            continue
        try:
            case = Case(folder)
            found += [Disagreement(kind, case.name, text) for kind, text in check(case, script)]
        except Exception:  # noqa: BLE001  # one host's bug is not the others'
            found.append(Disagreement("error", folder.name, traceback.format_exc(limit=-2)))
    unexplained = 0
    for kind in sorted({each.kind for each in found}, key=lambda kind: (kind in INFORMATIVE, kind)):
        print(f"== {kind}")
        for disagreement in found:
            if disagreement.kind != kind:
                continue
            reason = EXPLAINED.get((kind, disagreement.host), "")
            unexplained += not reason and kind not in INFORMATIVE
            text = disagreement.text.replace("\n", "\n      ")
            print(f"  {disagreement.host}: {text}{reason and ' -- explained: ' + reason}")
    print(f"{unexplained} unexplained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
