"""Where the record of a reservation lies, and the id that leads back to it.

A reservation's id is a version, a place, a name and a secret, in URL-safe base64. The
secret makes it unguessable; it is compared with that of the record.

Names of records and of lists are ``<tag>.<rest>``; keys.record_key() says what key that is.
A record whose name follows from a request's id lies at one of HOMES tags, wherever its
counters lie, so that the same request always meets it. Where slots are enforced and there
is no such id, the record of counters of one slot lies with them, under a tag of that slot.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from binascii import crc_hqx
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b
from itertools import count
from secrets import token_bytes
from string import ascii_letters, digits
from typing import Final

from ratelimit_service.core.reservation import Home

HOMES: Final = 256
"""How many tags records have that do not lie with their counters."""

SLOTS: Final = 16_384

_VERSION: Final = 1
_NAME_BYTES: Final = 16
_SECRET_BYTES: Final = 16
_HEAD_BYTES: Final = 3
_ID_BYTES: Final = _HEAD_BYTES + _NAME_BYTES + _SECRET_BYTES

# Places: below the first, the number of a slot; then homes, where slots are enforced and not.
_HOME_PLACE: Final = SLOTS
_SHARED_PLACE: Final = SLOTS + HOMES
_PLACES: Final = SLOTS + 2 * HOMES


@dataclass(frozen=True, slots=True)
class Address:
    """Where a reservation's record lies; with its secret, what a caller needs to know of it."""

    place: int
    name: bytes

    def home(self) -> Home:
        """Return the record's slot, name and list."""
        if self.place < _HOME_PLACE:
            return Home(str(self.place), _name(_tag_of_slot(self.place), self.name))
        enforced = self.place < _SHARED_PLACE
        number = (self.place - _HOME_PLACE) % HOMES
        home = home_of(number)
        return Home(
            home.slot if enforced else "",
            _name(_home_tag(number), self.name),
            home.due_list if enforced else "",
        )

    def reservation_id(self, secret: str) -> str:
        """Write the id of the reservation; ``secret`` is hexadecimal, as new_secret() gives it."""
        head = bytes([_VERSION]) + self.place.to_bytes(2, "big")
        return _base64(head + self.name + bytes.fromhex(secret))


@dataclass(frozen=True, slots=True)
class Ticket:
    """What an id says."""

    address: Address
    secret: str


def read_id(reservation_id: str) -> Ticket | None:
    """Read an id; None for a text that never was one."""
    try:
        raw = urlsafe_b64decode(reservation_id.encode("ascii") + b"=")
    except (Base64Error, UnicodeEncodeError):
        return None
    place = int.from_bytes(raw[1:_HEAD_BYTES], "big")
    if len(raw) != _ID_BYTES or raw[0] != _VERSION or place >= _PLACES:
        return None
    secret = raw[_HEAD_BYTES + _NAME_BYTES :].hex()
    ticket = Ticket(Address(place, raw[_HEAD_BYTES : _HEAD_BYTES + _NAME_BYTES]), secret)
    # Base64 has several texts for the same bytes; only one of them is the id.
    return ticket if ticket.address.reservation_id(secret) == reservation_id else None


def new_secret() -> str:
    """Return a secret that nobody can guess, in hexadecimal."""
    return token_bytes(_SECRET_BYTES).hex()


def new_name() -> bytes:
    """Return a name that no other record has."""
    return token_bytes(_NAME_BYTES)


def name_of_request(owner: str, domain: str, request_id: str) -> bytes:
    """Return the name that a caller's request always has."""
    digest = blake2b(digest_size=_NAME_BYTES)
    for text in (owner, domain, request_id):
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.digest()


def shared_address(name: bytes) -> Address:
    """Return the address of a record where slots are not enforced."""
    return Address(_SHARED_PLACE + name[0] % HOMES, name)


def home_address(name: bytes) -> Address:
    """Return the address of a record at one of the homes."""
    return Address(_HOME_PLACE + name[0] % HOMES, name)


def address_in_slot(name: bytes, slot: str) -> Address:
    """Return the address of a record that lies in a slot, by the slot's name."""
    return Address(int(slot), name)


@cache
def home_of(number: int) -> Home:
    """Return what the records of a home share: its slot and its list, without a name."""
    tag = _home_tag(number)
    return Home(str(slot_of_tag(tag)), "", f"{tag}.due")


def slot_of_tag(tag: str) -> int:
    """Return the number of the slot that a hash tag leads to (Redis Cluster specification)."""
    return crc_hqx(tag.encode(), 0) % SLOTS


def record_key(prefix: str, name: str) -> str:
    """Return the key of a record or of a list."""
    tag, _, rest = name.partition(".")
    return f"{prefix}{{{tag}}}r;{rest}"


def _home_tag(number: int) -> str:
    return f"h{number}"


def _name(tag: str, name: bytes) -> str:
    return f"{tag}.{_base64(name)}"


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@lru_cache(maxsize=SLOTS)
def _tag_of_slot(slot: int) -> str:
    """Return a short tag that leads to a slot.

    A CRC is linear: what an ending does to it does not depend on what stands before, but for
    what two zero bytes in its place would do.
    """
    ending = None
    heads = (f"s{number}" for number in count())
    while ending is None:
        head = next(heads)
        before = crc_hqx(b"\0\0", crc_hqx(head.encode(), 0)) % SLOTS
        ending = _endings().get(slot ^ before)
    return head + ending


@cache
def _endings() -> Mapping[int, str]:
    """Return endings of two characters by their CRC, modulo the number of slots."""
    letters = ascii_letters + digits
    return {slot_of_tag(a + b): a + b for a in letters for b in letters}
