"""What a server says or does instead of replying, told apart by what it means for a call.

Scripts that a server refuses with a NotRunError have changed nothing: Redis checks the
state of the server and of the slot before it starts a script, and READONLY comes before
the first write.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)

from ratelimit_service.config.settings import Address, TcpAddress
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.redis.link import CrossSlotError


class ConnectionLostError(StoreUnavailableError):
    """The connection ended before the reply; the call may have run."""


class NotRunError(StoreUnavailableError):
    """The call certainly did not run."""


class UnreachableError(NotRunError):
    """No connection to the server could be had, so nothing was sent."""


class NotReadyError(NotRunError):
    """The server will run the call later: it loads its data, say, or moves the slot."""


class NotMasterError(NotRunError):
    """The server is a replica, or became one."""


class RedirectError(NotRunError):
    """Another node of the cluster serves the slot, or, when ``asking``, this one key of it."""

    def __init__(self, message: str, target: TcpAddress, *, asking: bool) -> None:
        super().__init__(message)
        self.target = target
        self.asking = asking


def translate(address: Address, refusal: RedisError) -> StoreUnavailableError:
    """Say what an error reply of the server at ``address`` means."""
    if isinstance(refusal, AskError):  # every MovedError is one, too
        return _redirect(address, refusal, asking=not isinstance(refusal, MovedError))
    if str(refusal).startswith("BUSY "):
        return NotReadyError(f"{address} is not ready: {refusal}")
    for kinds, meaning, phrase in _MEANINGS:
        if isinstance(refusal, kinds):
            return meaning(f"{address} {phrase}: {refusal}")
    return StoreUnavailableError(f"{address} answered with an error: {refusal}")


_Kinds: TypeAlias = tuple[type[RedisError], ...]
_MEANINGS: Final[tuple[tuple[_Kinds, type[StoreUnavailableError], str], ...]] = (
    ((BusyLoadingError, TryAgainError, ClusterDownError), NotReadyError, "is not ready"),
    ((ReadOnlyError,), NotMasterError, "is a replica"),
    ((ClusterCrossSlotError,), CrossSlotError, "allows the keys of one slot only"),
    ((AuthenticationError, NoPermissionError), StoreUnavailableError, "refused the credentials"),
    ((OutOfMemoryError,), StoreUnavailableError, "is out of memory"),
)


def _redirect(address: Address, refusal: AskError, *, asking: bool) -> RedirectError:
    host = refusal.host
    if not host and isinstance(address, TcpAddress):  # the node means: my host, another port
        host = address.host
    target = TcpAddress(host, refusal.port)
    message = f"{address} does not serve slot {refusal.slot_id}, {target} does"
    return RedirectError(message, target, asking=asking)
