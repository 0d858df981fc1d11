"""All readers together: this kernel with a root's files, or a snapshot, -> `Host`."""

import stat
from pathlib import Path
from typing import Optional

from symroute_nm.errors import InputError, SystemFailure
from symroute_nm.model.host import Host
from symroute_nm.readers import rt_tables


def read_host(
    root: Path, host_file: Optional[Path] = None, *, probe: bool = True, evidence: bool = False
) -> Host:
    """The host as the kernel and the files below `root` show it, or as the snapshot says.

    `probe`: try what rules the kernel can have. `evidence`: with what only a diagnosis needs, for
    which the firewall is asked. A snapshot carries its own files' content; only the names in
    rt_tables below `root` add to it, so that a second run keeps the ids of the first. Raises
    `SymrouteError`.
    """
    if host_file is not None:
        from symroute_nm.readers import snapshot

        return _with_tables_of(root, snapshot.read_host(host_file))
    require_root(root)
    # A snapshot needs none of these, above all no netlink.
    from symroute_nm.kernel import rtnetlink, run_tables
    from symroute_nm.readers import firewall, leases
    from symroute_nm.readers.ifcfg import dispatcher, profiles

    kernel = rtnetlink.read_host(probe)
    if evidence:
        from symroute_nm.readers.observations import read_observations

        kernel = kernel._replace(evidence=read_observations(root, kernel.links))
    trial = run_tables.read_trial()
    connections = leases.read_connections(root)
    return kernel._replace(
        links=tuple(
            link._replace(connection=connections.get(link.ifindex, "")) for link in kernel.links
        ),
        profiles=profiles.read_profiles(root),
        leases=leases.read_leases(root, {link.ifindex: link.name for link in kernel.links}),
        # What files say is newer than what a run before has noted, and comes after it.
        tables=(*rt_tables.read_kernel_tables(), *rt_tables.read_tables(root)),
        dispatcher=dispatcher.find_dispatcher(root),
        network_service=dispatcher.has_network_service(root),
        drop_ins=rt_tables.reads_drop_ins(root),
        firewalls=firewall.find_firewalls(root),
        on_trial=trial.rules if trial else (),
    )


def require_root(root: Path) -> None:
    """Raise `InputError` for a root that is no folder, `SystemFailure` where that cannot be told.

    Only the output of a snapshot's plan may go to a folder that is not there yet.
    """
    try:
        folder = stat.S_ISDIR(root.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        folder = False
    except OSError as error:
        hint = "correct --root, or run as root"
        raise SystemFailure(f"{root}: {error.strerror}", hint) from error
    if not folder:
        raise InputError(f"{root}: no such folder", "correct --root")


def _with_tables_of(root: Path, host: Host) -> Host:
    """The host with the table names below `root`, which win over the snapshot's of that name."""
    newer = rt_tables.read_tables(root)
    names = {table.name for table in newer}
    older = tuple(table for table in host.tables if table.name not in names)
    return host._replace(tables=tuple(sorted(older + newer)))
