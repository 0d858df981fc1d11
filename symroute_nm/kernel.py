"""What a kernel can, by its release (pure)."""

import re
from typing import Tuple

# linux 7764a45a8f1f and 73f5698e7721: fib_rules know suppress_prefixlength since 3.12.
_SUPPRESS_SINCE = (3, 12)
# linux f6d0cbcf09c5: nf_tables can ask the routing tables (fib) since 4.10.
_FIB_SINCE = (4, 10)


def suppresses(release: str) -> bool:
    """Whether rules can have suppress_prefixlength; distributors may have brought it earlier."""
    return _version(release) >= _SUPPRESS_SINCE


def has_nft_fib(release: str) -> bool:
    """Whether nftables has all that our table needs."""
    return _version(release) >= _FIB_SINCE


def _version(release: str) -> Tuple[int, int]:
    """The first two numbers of ``uname -r``; (0, 0) for what has none."""
    found = re.match(r"^(\d+)\.(\d+)", release)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)
