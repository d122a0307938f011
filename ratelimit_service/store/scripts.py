"""The scripts of lua/, read once, each with the parts of lua/lib that it uses before it."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from typing import Final

from ratelimit_service.resources import lua_script
from ratelimit_service.store.redis.link import Script

# A line of a script's head comment: "-- Uses base, records."
_USES: Final = re.compile(r"^-- Uses (.+)\.$", re.MULTILINE)


@cache
def load_script(name: str) -> Script:
    """Return the script ``lua/<name>.lua``."""
    source = lua_script(name)
    uses = _USES.search(source)
    parts = [] if uses is None else uses[1].split(", ")
    source = "\n".join([*(lua_script(f"lib/{part}") for part in parts), source])
    # Servers name scripts by this digest; nothing is kept secret by it.
    digest = sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, digest)
