"""What most commands begin with: the host and the settings."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, Optional

if TYPE_CHECKING:
    from symroute_nm.model.host import Host
    from symroute_nm.model.settings import Options, Settings

# Below another root, beside what a target writes: what is read of NetworkManager and the like.
_READ = (
    "/etc/NetworkManager/system-connections",
    "/etc/systemd/system",
    "/usr/lib/iproute2",
    "/usr/share/iproute2",
    "/var/lib/NetworkManager",
    "/var/lib/dhclient",
    "/var/lib/dhcp",
    "/run/NetworkManager/devices",
)


def read_host(
    root: Path, host_file: Optional[Path], *, probe: bool = True, evidence: bool = False
) -> "Host":
    """This machine with the files below `root`, or the snapshot; raises `SymrouteError`."""
    from symroute_nm.readers import host

    return host.read_host(root, host_file, probe=probe, evidence=evidence)


def read_settings(
    root: Path, config: Optional[Path], options: Optional["Options"] = None
) -> "Settings":
    """Configuration file and options together; raises `SymrouteError`."""
    from symroute_nm.model.settings import Options
    from symroute_nm.readers import settings

    if config is None:
        configured = settings.read_settings_below(root)
    else:
        configured = settings.read_settings(config, required=True)
    return settings.apply_options(configured, options or Options())


def require_root(root: Path) -> None:
    """Raise `InputError` for a root that is no folder."""
    from symroute_nm.readers import host

    host.require_root(root)


@contextlib.contextmanager
def hold_kernel(
    root: Path, note: Callable[[str], None], *, dry_run: bool = False
) -> Iterator[None]:
    """Nobody else changes the kernel meanwhile; what was cut off earlier is taken back first.

    Nothing of that for a dry run. Raises `InputError` for a tree that is not root's alone, before
    anything is done, and `SymrouteError`.
    """
    if dry_run:
        yield
        return
    from symroute_nm.files import ownership
    from symroute_nm.kernel import recovery, transaction
    from symroute_nm.targets.base import choose_target

    ownership.require_owned(root, (*choose_target().folders, *_READ))
    with transaction.hold():
        recovery.recover(note)
        yield
