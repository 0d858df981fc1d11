"""How internal networks are kept reachable: the guard, and whether transit gets rules (iif)."""

from typing import Iterator, NamedTuple

from symroute_nm.model.host import Host, suppresses
from symroute_nm.model.network import VERSIONS
from symroute_nm.model.settings import Settings


class Guard(NamedTuple):
    """How internal networks are kept reachable, and why so."""

    name: str  # rules throw none
    reason: str


def choose_guard(host: Host, settings: Settings) -> Guard:
    """The guard asked for, or the one that the kernel's evidence justifies."""
    if settings.guard != "auto":
        return Guard(settings.guard, "asked for")
    if host.suppress is not None:
        return Guard("rules" if host.suppress else "throw", "probed")
    if suppresses(host.kernel):
        return Guard("rules", f"not probed; by kernel release {host.kernel}")
    return Guard(
        "throw",
        f"not probed; kernel release {host.kernel or 'unknown'} may lack suppress_prefixlength",
    )


def uses_iif(host: Host, settings: Settings, guard: str, version: int) -> bool:
    """Whether transit gets rules: not where they would cut a new container network off."""
    if settings.iif is not None:
        return settings.iif
    return guard != "throw" or version not in host.forwarding


def notes_on_guard(host: Host, settings: Settings, guard: Guard) -> Iterator[str]:
    """What the guard asks of the user."""
    if settings.guard == "auto" and host.suppress is None:
        yield f"guard {guard.name}: {guard.reason}"
    if guard.name == "throw":
        yield "guard by throw routes: generate again whenever a container network is added"
        for version in VERSIONS:
            if not uses_iif(host, settings, guard.name, version):
                yield f"IPv{version} is forwarded, so no rule catches transit (iif)"
    if guard.name == "none":
        yield "no guard: replies to containers and other internal networks leave by the uplinks"
