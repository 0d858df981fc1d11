"""What a change of the kernel that waits to be confirmed is made with."""

from symroute_nm.files.journal import LargerChange
from symroute_nm.kernel.keeper import KeeperResult, Watch
from symroute_nm.kernel.transaction import KernelChange, make_change

# Who waits for people's answers takes these from here: commands know nothing below workflow.
__all__ = ["KeeperResult", "KernelChange", "LargerChange", "Watch", "make_change"]
