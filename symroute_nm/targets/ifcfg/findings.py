"""Whether anything applies the route and rule files, as findings.

The facts are those of NetworkManager's dispatcher script; see DESIGN 3.
"""

import re
import shlex
from itertools import product
from typing import Iterator, Optional, Set

from symroute_nm.errors import SymrouteError
from symroute_nm.model.finding import ERROR, NOTICE, WARNING, Finding
from symroute_nm.model.host import Host
from symroute_nm.model.network import VERSIONS
from symroute_nm.model.places import ROUTES_SCRIPT
from symroute_nm.model.plan import Uplink
from symroute_nm.model.profiles import profiles_for
from symroute_nm.targets.base import Inspected, Obstacle
from symroute_nm.targets.ifcfg import dead_lines
from symroute_nm.targets.ifcfg.broken_lines import find_flaws
from symroute_nm.targets.ifcfg.conversion import is_variables_form
from symroute_nm.targets.ifcfg.names import KINDS, RULE, is_kind, path_of, profile_of
from symroute_nm.targets.ifcfg.profiles import find_profile

SERVICE = "NetworkManager-dispatcher.service"
PACKAGE = "NetworkManager-dispatcher-routing-rules"
_ASSIGNMENT = re.compile(r"\s*(?:[A-Za-z_][A-Za-z0-9_]*=.*|#.*)?")


def find_obstacle(host: Host) -> Optional[Obstacle]:
    """What is wrong with the dispatcher script; None where something applies the files."""
    if host.network_service:
        return None
    if not host.dispatcher:
        return _explain_missing(host)
    if "/pre-up.d/" in host.dispatcher:
        return None
    folder, _, script = host.dispatcher.rpartition("/")
    base = re.sub(r"/no-wait\.d\Z", "", folder)
    return Obstacle(
        "dispatcher-not-pre-up",
        f"{host.dispatcher} does not stand in pre-up.d: it does not run before a link is up",
        f"ln -s {host.dispatcher} {base}/pre-up.d/{script}",
    )


def _explain_missing(host: Host) -> Obstacle:
    if ".el10" in host.kernel:
        return Obstacle(
            "dispatcher-missing",
            f"{ROUTES_SCRIPT} is missing, and RHEL 10 has no package with it: nothing there "
            "reads ifcfg, route or rule files",
            "keep rules and routes in the connections themselves: ipv4.routing-rules and "
            "ipv4.routes, see nm-settings(5)",
        )
    return Obstacle(
        "dispatcher-missing",
        f"{ROUTES_SCRIPT} is missing: nothing applies rule files, and NetworkManager itself "
        "ignores the route files beside them",
        f"{'yum' if '.el7' in host.kernel else 'dnf'} install {PACKAGE}",
    )


def find_service(inspected: Inspected) -> Iterator[Finding]:
    """The dispatcher script is missing, stands in the wrong folder, or is never started."""
    if inspected.host.network_service or not (inspected.uplinks or inspected.listed):
        return
    severity = ERROR if inspected.listed else WARNING
    obstacle = find_obstacle(inspected.host)
    if obstacle:
        yield Finding(obstacle.code, severity, obstacle.reason, obstacle.remedy)
    yield from _find_unit(inspected, severity)


def _find_unit(inspected: Inspected, severity: str) -> Iterator[Finding]:
    if inspected.evidence.dispatcher_service == "masked":
        yield Finding(
            "dispatcher-masked",
            severity,
            f"{SERVICE} is masked: no dispatcher script runs, so nothing applies rule files",
            f"systemctl unmask {SERVICE}\nsystemctl enable {SERVICE}",
        )
    if inspected.evidence.dispatcher_service == "disabled":
        yield Finding(
            "dispatcher-disabled",
            severity,
            f"{SERVICE} is disabled: NetworkManager cannot start it by its D-Bus name, so "
            "nothing applies rule files",
            f"systemctl enable {SERVICE}",
        )


def find_misnamed_files(inspected: Inspected) -> Iterator[Finding]:
    """Rule files named after the device where the profile has another name: nothing is applied."""
    paths = {file.path for file in inspected.files}
    devices = {profile_of(path) for path in paths if is_kind(path, RULE)}
    names = {profile.name for profile in inspected.host.profiles}
    for link in inspected.host.links:
        if link.name not in devices or link.name in names:
            continue
        profiles = profiles_for(link, inspected.host.profiles)
        if len(profiles) != 1 or profiles[0].name in devices:
            continue
        profile = profiles[0].name
        yield Finding(
            "files-named-after-device",
            ERROR,
            f"the rule files of {link.name} are named after the device, but its profile "
            f"is {profiles[0].file_name}: none of them is applied",
            "\n".join(_moves(paths, link.name, profile)),
        )


def _moves(paths: Set[str], device: str, profile: str) -> Iterator[str]:
    """The commands that give a device's files, of these paths, to its profile."""
    for kind, version in product(KINDS, VERSIONS):
        old, new = path_of(kind, version, device), path_of(kind, version, profile)
        if old in paths:
            source, target = shlex.quote(old), shlex.quote(new)
            merge = f"cat {source} >> {target} && rm {source}"
            yield merge if new in paths else f"mv {source} {target}"


def find_profiles(inspected: Inspected) -> Iterator[Finding]:
    """Uplinks without an ifcfg profile that NetworkManager and the script can use."""
    for uplink in inspected.uplinks:
        try:
            find_profile(inspected.host, inspected.settings, uplink.link)
        except SymrouteError as error:
            # A host that is symmetric by other means than our files needs no profile.
            broken = uplink.link.name in inspected.asymmetric_links
            yield Finding(
                _profile_code(inspected, uplink),
                ERROR if broken else NOTICE,
                error.message,
                error.hint,
            )


def _profile_code(inspected: Inspected, uplink: Uplink) -> str:
    profiles = profiles_for(uplink.link, inspected.host.profiles)
    if not profiles:
        return "profile-not-ifcfg"
    if len(profiles) == 1 and not profiles[0].managed:
        return "nm-controlled-no"
    return "profile-unusable"


def find_variables_form(inspected: Inspected) -> Iterator[Finding]:
    """Route files of ``ADDRESSn=`` lines, to which no ip line can be added."""
    uplinks: Set[str] = set()
    for uplink in inspected.uplinks:
        profiles = profiles_for(uplink.link, inspected.host.profiles)
        uplinks |= {profile.name for profile in profiles}
    ruled = {profile_of(file.path) for file in inspected.files if is_kind(file.path, RULE)}
    for file in inspected.files:
        if is_kind(file.path, RULE) or not is_variables_form(_encode(file.text)):
            continue
        commands = [line for line in file.text.split("\n") if not _ASSIGNMENT.fullmatch(line)]
        if commands:
            yield Finding(
                "variables-form",
                ERROR,
                f"{file.path} is in ADDRESSn= form, so the dispatcher script runs the "
                f"whole file as shell: its line {commands[0]!r} is no route but a command",
                "symroute-nm generate --convert",
            )
        elif profile_of(file.path) in uplinks | ruled:
            yield Finding(
                "variables-form",
                NOTICE,
                f"{file.path} is in ADDRESSn= form: ip lines added to it would not be read",
                "symroute-nm generate --convert",
            )


def find_broken_lines(inspected: Inspected) -> Iterator[Finding]:
    """Lines that the dispatcher script cannot read, while all the others run."""
    flaws = {file.path: find_flaws(_encode(file.text)) for file in inspected.files}
    for path, sentences in flaws.items():
        if sentences:
            yield Finding(
                "broken-lines", ERROR, f"{path}: {'; '.join(sentences)}", f"mend {path} by hand"
            )


def find_dead_lines(inspected: Inspected) -> Iterator[Finding]:
    """The administrator's lines that `ip` refuses each time."""
    for sentence in dead_lines.find_dead_lines(inspected.files, inspected.host):
        yield Finding("dead-line", NOTICE, sentence, "correct or delete the line")


def find_damaged_tables(inspected: Inspected) -> Iterator[Finding]:
    """Files of table names that iproute2 does not read to their ends."""
    for sentence in inspected.evidence.damaged_tables:
        yield Finding("tables-damaged", NOTICE, sentence, "")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


FINDERS = (
    find_service,
    find_misnamed_files,
    find_profiles,
    find_variables_form,
    find_broken_lines,
    find_dead_lines,
    find_damaged_tables,
)
