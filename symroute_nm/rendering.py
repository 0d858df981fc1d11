"""Templates, compiled: the only jinja2 import."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Mapping

from symroute_nm.errors import SystemFailure
from symroute_nm.lazy import import_submodule

if TYPE_CHECKING:
    from jinja2 import Environment, Template

__all__ = ["Template", "load_templates"]


@lru_cache(maxsize=None)
def load_templates(folder: str, *names: str) -> "Mapping[str, Template]":
    """The compiled templates of a folder; of jinja2 its environment alone: {name: template}.

    Raises `SystemFailure` where one cannot be read.
    """
    # Its package init loads caches and loaders besides, with pickle and hashlib: a quarter of it.
    environment: Environment = import_submodule("jinja2.environment").Environment(
        undefined=import_submodule("jinja2.runtime").StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        optimized=False,  # constant folding takes longer than it saves
        autoescape=False,
    )
    place = _templates() / folder
    return {name: environment.from_string(_read(place / f"{name}.j2")) for name in names}


def _read(place: Path) -> str:
    try:
        return place.read_text(encoding="utf-8")
    except OSError as error:
        raise SystemFailure(
            f"cannot read {place}: {error.strerror or error}", "install symroute-nm again"
        ) from error


def _templates() -> Path:
    """The installed ``symroute_nm.templates``, or the checkout's folder (editable install)."""
    package = Path(__file__).parent
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"
