"""The golden cases: where their trees are (`FOLDER`), the builders of their hosts, their table."""

from pathlib import Path
from typing import List

FOLDER = Path(__file__).resolve().parents[2] / "cases"


def case_folders() -> List[Path]:
    """The folder of each case, by name."""
    return sorted(snapshot.parent for snapshot in FOLDER.glob("*/host.json"))
