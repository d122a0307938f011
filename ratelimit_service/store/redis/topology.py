"""Which node of a cluster serves which slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.crc import key_slot

from ratelimit_service.config.settings import Address, TcpAddress
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.redis.ask import Statement
from ratelimit_service.store.redis.link import Reply

SLOTS: Final = 16_384


@dataclass(frozen=True, slots=True)
class SlotRange:
    """Slots that one master serves."""

    slots: range
    master: TcpAddress


def slot_of(key: str) -> int:
    """Return the slot of a key, from its hash tag where it has one."""
    return key_slot(key.encode())


def slot_ranges(said: Statement) -> Sequence[SlotRange]:
    """Read a reply to CLUSTER SLOTS: first, last, master and replicas for each range.

    Raises StoreUnavailableError when it has another form.
    """
    match said.reply:
        case list(entries):
            return [_slot_range(entry, said.source) for entry in entries]
        case _:
            raise _unreadable(said.source, said.reply)


def _slot_range(entry: Reply, asked: Address) -> SlotRange:
    match entry:
        case [int(first), int(last), [bytes() | None as host, int(port), *_], *_]:
            return SlotRange(range(first, last + 1), TcpAddress(_host(host, asked), port))
        case _:
            raise _unreadable(asked, entry)


def _host(host: bytes | None, asked: Address) -> str:
    """Return the host, which a node leaves out where it is the one that was asked."""
    if isinstance(asked, TcpAddress) and host in {None, b"", b"?"}:
        return asked.host
    return (host or b"").decode()


def _unreadable(asked: Address, reply: Reply) -> StoreUnavailableError:
    return StoreUnavailableError(f"{asked} describes its slots in an unknown form: {reply!r}")
