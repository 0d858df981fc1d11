"""What is written, the real `ip` takes and the kernel gives back; hostile names made for real."""

import random
from pathlib import Path

import pytest

from support.hosts import make_plan
from support.network.namespaces import HOSTILE, Namespace, kernel, two_uplinks
from symroute_nm.model.ours import our_tables
from symroute_nm.model.profiles import Profile
from symroute_nm.model.settings import Settings
from symroute_nm.readers import rt_tables
from symroute_nm.readers.snapshot import load_host
from symroute_nm.targets.ifcfg import changes
from symroute_nm.targets.ifcfg.render import render

SCRIPTS = "etc/sysconfig/network-scripts"
LINKS = ("u0", "u1.7", "w@x", "k+1")  # all that a profile's name can be made of
HOSTS = 4


def random_host(space: Namespace, seed: int) -> None:
    """Uplinks with addresses, gateways on and off the link, metrics; bridges with networks."""
    draw = random.Random(seed)
    for number, name in enumerate(LINKS[: draw.randint(2, len(LINKS))]):
        space.ip(
            f"link add {name} type veth peer name far{number}\n"
            f"link set far{number} up\nlink set {name} up"
        )
        length = draw.choice([24, 25, 31])
        space.ip(f"addr add 10.{number}.6.2/{length} dev {name}")
        space.ip(f"addr add 2001:db8:{number}::5/{draw.choice([64, 80])} dev {name} nodad")
        four, six = draw.choice(
            [
                (f"10.{number}.6.3", f"2001:db8:{number}::1"),
                (f"172.31.{number}.1", f"fe80::{number + 1}"),
            ]
        )
        onlink = "onlink" if four.startswith("172") else ""
        metric = draw.choice(["", f"metric {draw.randint(1, 2**31)}"])
        metric = metric if number == 0 else f"metric {100 + number}"
        space.ip(f"route add default via {four} dev {name} {onlink} {metric}")
        space.ip(f"route add default via {six} dev {name} {metric}", "-6")
    space.ip("link add br0 type bridge\nlink set br0 up\naddr add 10.200.0.1/16 dev br0")
    space.ip(f"route add 10.{draw.choice([128, 192])}.0.0/10 via 10.0.6.3")


def listed(text: str) -> str:
    """The lines that the dispatcher script gives to `ip`, as a batch."""
    return "\n".join(line for line in text.splitlines() if line and not line.startswith("#"))


@pytest.mark.parametrize("seed", range(HOSTS))
@pytest.mark.parametrize("guard", ["rules", "throw"])
def test_the_kernel_gives_back_what_was_planned(namespace: Namespace, seed: int, guard: str):
    random_host(namespace, seed)
    host = kernel(namespace)
    links = [link.name for link in host.links if link.name in LINKS]
    host = host._replace(profiles=tuple(Profile(link, device=link) for link in links))
    settings = Settings(guard=guard, table_names=False)
    plan = make_plan(host, settings)
    assert len(links) == len(plan.uplinks)

    for path, text in sorted(render(plan, host, ()).items()):
        kind = Path(path).name.partition("-")[0]
        if kind in ("route", "route6", "rule", "rule6"):
            words = "{} add ".format(kind.rstrip("6"))
            batch = "\n".join(words + line for line in listed(text).splitlines())
            namespace.ip(batch, "-6" if kind.endswith("6") else "-4")

    found = kernel(namespace)
    tables = {uplink.table.id for uplink in plan.uplinks}
    # As wanted, but for what the kernel fills in: who added it, how far it reaches.
    bare = {route._replace(protocol=0, scope=0) for route in found.routes if route.table in tables}
    wanted = {
        route._replace(metric=route.kernel_metric) for one in plan.uplinks for route in one.routes
    }
    assert wanted == bare
    added = {rule.without_protocol for rule in found.rules} - {
        rule.without_protocol for rule in host.rules
    }
    assert {rule for one in plan.uplinks for rule in one.rules} == added


@pytest.mark.parametrize("seed", range(1))
def test_what_is_installed_is_known_as_ours_again(namespace: Namespace, tmp_path, seed: int):
    random_host(namespace, seed)
    folder = tmp_path / SCRIPTS
    folder.mkdir(parents=True)
    names = [link.name for link in kernel(namespace).links if link.name in LINKS]
    for name in names:
        (folder / ("ifcfg-" + name)).write_text(f"DEVICE={name}\nONBOOT=yes\n")
    before = sorted(folder.iterdir())
    first = namespace.symroute("generate", "--root", str(tmp_path))
    assert 0 == first.returncode, first.stderr
    again = namespace.symroute("generate", "--root", str(tmp_path))
    assert (0, True) == (again.returncode, b"nothing to change" in again.stdout), again
    written = {path.name for path in folder.iterdir()} - {path.name for path in before}
    owned = {Path(each).name for each in changes.find_owned(tmp_path)} - {
        "symroute-nm.conf",
        "rt_tables",
    }
    assert written == owned
    assert len(names) == len(our_tables(rt_tables.read_tables(tmp_path), ()))
    assert 0 == namespace.symroute("remove", "--root", str(tmp_path)).returncode
    assert before == sorted(folder.iterdir())


UNSAFE = [*(each for each in HOSTILE if each != b"..x"), b"\xc3\xa9" * 7 + b"x"]
SET_UP = """
import socket, subprocess
for number in range(%d):
    name = dict(socket.if_nameindex())[1000 + number]
    for words in (["link", "set", "dev", name, "up"],
                  ["link", "set", "away%%d" %% number, "up"],
                  ["addr", "add", "10.7.%%d.5/24" %% number, "dev", name],
                  ["route", "add", "default", "via", "10.7.%%d.1" %% number, "dev", name,
                   "metric", str(1000 + number)]):
        subprocess.run(["ip", *words], check=True)
"""


def test_uplinks_of_hostile_names_are_refused_in_one_line_each(namespace: Namespace, tmp_path):
    """The shell of the dispatcher script would split, expand or run them."""
    two_uplinks(namespace)
    for number, name in enumerate(UNSAFE):
        namespace.link(
            name,
            "index",
            str(1000 + number),
            "type",
            "veth",
            "peer",
            "name",
            f"away{number}",
            "index",
            str(2000 + number),
        )
    ran = namespace.python(SET_UP % len(UNSAFE))
    assert 0 == ran.returncode, ran.stderr
    for words, code in ((["inspect"], 0), (["snapshot"], 0), (["diagnose"], 1), (["generate"], 3)):
        ran = namespace.symroute(*words, "--root", str(tmp_path))
        assert code == ran.returncode, ran.stderr
        assert b"\x1b" not in ran.stdout + ran.stderr
        assert b"Traceback" not in ran.stderr
    said = [line for line in ran.stderr.decode().splitlines() if "cannot take this name" in line]
    assert len(UNSAFE) == len(said), ran.stderr
    assert [] == list(tmp_path.iterdir())


HOSTILE_PROFILES = [
    "two words",
    "a'b",
    'a"b',
    "a\nb",
    "$(x)",
    "a*",
    "-rf",
    "a;b",
    "x" * 249,
    "caf\udce9",
    "\x1b[31m",
]


def test_profiles_of_hostile_names_are_refused(namespace: Namespace, tmp_path):
    two_uplinks(namespace)
    folder = tmp_path / SCRIPTS
    folder.mkdir(parents=True)
    (folder / "ifcfg-eth0").write_text("DEVICE=eth0\n")
    for name in HOSTILE_PROFILES:
        (folder / ("ifcfg-" + name)).write_text("DEVICE=eth1\n")
        before = sorted(tmp_path.rglob("*"))
        ran = namespace.symroute("generate", "--root", str(tmp_path))
        said = [
            line for line in ran.stderr.decode().splitlines() if line.startswith("symroute-nm: ")
        ]
        assert (3, 1) == (ran.returncode, len(said)), ran.stderr
        assert "rename the file to ifcfg-eth1" in said[0]
        assert b"\x1b" not in ran.stderr
        assert before == sorted(tmp_path.rglob("*"))
        (folder / ("ifcfg-" + name)).unlink()


def test_a_snapshot_holds_profiles_of_any_name(namespace: Namespace, tmp_path):
    folder = tmp_path / SCRIPTS
    folder.mkdir(parents=True)
    for name in HOSTILE_PROFILES:
        (folder / ("ifcfg-" + name)).write_text("DEVICE=eth1\n")
    ran = namespace.symroute("snapshot", "--root", str(tmp_path))
    assert 0 == ran.returncode, ran.stderr
    assert set(HOSTILE_PROFILES) == {
        profile.name for profile in load_host(ran.stdout, "snapshot").profiles
    }
