"""Parts of a way back: whatever one of them meets, the others are tried as well.

The one place that catches everything: a way back that ends in the middle would leave a host that
nobody reaches. What went wrong is kept, told to people, and tried again by the next run.
"""

from typing import Any, Callable, NamedTuple

from symroute_nm.errors import SymrouteError


class Attempt(NamedTuple):
    """How it went: what came of it, or why nothing did."""

    value: Any = None
    failure: str = ""  # for people; "" where it went well


def attempt(function: Callable[..., Any], *arguments: Any) -> Attempt:
    """Call it, and say how that went; raises nothing but what ends the process."""
    try:
        return Attempt(function(*arguments))
    except SymrouteError as error:
        return Attempt(failure=error.message)
    except Exception as error:  # noqa: BLE001  # what is not foreseen must not end a way back
        return Attempt(failure=f"{type(error).__name__}: {error}")
