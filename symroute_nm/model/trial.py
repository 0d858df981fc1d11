"""Lines that are tried before they are written, and who tries them."""

from typing import Callable, NamedTuple, Optional, Sequence

from symroute_nm.model.host import Host


class TriedLine(NamedTuple):
    """A line that is handed to ``ip -4|-6 route add``."""

    version: int
    text: str


# Tries lines one after the other in a kernel with the host's links and addresses: why each is
# refused, "" where it is not; None where there is none to try them in.
Trial = Callable[[Host, Sequence[TriedLine]], Optional[Sequence[str]]]
