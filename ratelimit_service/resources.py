"""Files that ship with the package: scripts, protocol definitions and example rules."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent
_SHIPPED: Final = _PACKAGE / "_shipped"


def lua_script(name: str) -> str:
    """Return the source of the script ``lua/<name>.lua``."""
    return (_folder("lua") / f"{name}.lua").read_text(encoding="utf-8")


def example_rules() -> Path:
    """Return the folder of the rule files that are served when none are named."""
    return _folder("examples", "deploy/examples") / "rules"


def _folder(shipped: str, in_checkout: str | None = None) -> Path:
    """Find a folder in the installed wheel, else in the checkout that it is built from."""
    installed = _SHIPPED / shipped
    return installed if installed.is_dir() else _PACKAGE.parent / (in_checkout or shipped)
