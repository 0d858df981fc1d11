"""Why nothing would apply the route and rule files on a host, and what helps (pure)."""

import re
from typing import Optional

from symroute_nm.model.host import Host
from symroute_nm.targets import Obstacle

PACKAGE = "NetworkManager-dispatcher-routing-rules"
_SCRIPT = "10-ifcfg-rh-routes.sh"


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
        "%s does not stand in pre-up.d: it does not run before a link is up" % host.dispatcher,
        "ln -s %s %s/pre-up.d/%s" % (host.dispatcher, base, script))


def _explain_missing(host: Host) -> Obstacle:
    if ".el10" in host.kernel:
        return Obstacle(
            "dispatcher-missing",
            "%s is missing, and RHEL 10 has no package with it: nothing there reads ifcfg, route "
            "or rule files" % _SCRIPT,
            "keep rules and routes in the connections themselves: ipv4.routing-rules and "
            "ipv4.routes, see nm-settings(5)")
    return Obstacle(
        "dispatcher-missing",
        "%s is missing: nothing applies rule files, and NetworkManager itself ignores the route "
        "files beside them" % _SCRIPT,
        "%s install %s" % ("yum" if ".el7" in host.kernel else "dnf", PACKAGE))
