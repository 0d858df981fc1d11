"""`confirm`, and what a change of the kernel that waits for it is made with."""

from symroute_nm.kernel import keeper
from symroute_nm.kernel.keeper import KeeperResult, Watch
from symroute_nm.kernel.transaction import KernelChange, make_change, socket_path

# Who waits for people's answers takes these from here: commands know nothing below workflow.
__all__ = ["KeeperResult", "KernelChange", "Watch", "confirm", "make_change"]


def confirm() -> bool:
    """Keep what waits to be confirmed; False: it is too late. Raises `SymrouteError`."""
    return keeper.confirm(socket_path()).kept
