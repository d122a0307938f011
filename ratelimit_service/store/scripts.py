"""The scripts of lua/, read once."""

from __future__ import annotations

from functools import cache
from hashlib import sha1

from ratelimit_service.resources import lua_script
from ratelimit_service.store.redis.link import Script


@cache
def load_script(name: str) -> Script:
    """Return the script ``lua/<name>.lua``."""
    source = lua_script(name)
    # Servers name scripts by this digest; nothing is kept secret by it.
    digest = sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, digest)
