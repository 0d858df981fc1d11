"""``symroute-nm snapshot``: this host as JSON."""

from pathlib import Path

from symroute_nm.cli.options import ROOT
from symroute_nm.cli.terminal import write


def snapshot(root: Path = ROOT) -> None:
    """Print this host as JSON, for --host on any other machine."""
    from symroute_nm.workflow.query import take_snapshot

    for piece in take_snapshot(root):
        write(piece)
