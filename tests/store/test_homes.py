"""Ids of reservations, and where records lie."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from ratelimit_service.store.homes import (
    HOMES,
    SLOTS,
    Address,
    address_in_slot,
    home_address,
    home_of,
    name_of_request,
    new_secret,
    read_id,
    record_key,
    shared_address,
)

NAMES = st.binary(min_size=16, max_size=16)
PLACES = st.integers(0, SLOTS + 2 * HOMES - 1)


@given(place=PLACES, name=NAMES, secret=NAMES)
def test_an_id_leads_back(place: int, name: bytes, secret: bytes) -> None:
    address = Address(place, name)
    ticket = read_id(address.reservation_id(secret.hex()))

    assert ticket is not None
    assert (ticket.address, ticket.secret) == (address, secret.hex())


@given(raw=st.binary(max_size=60), text=st.text())
def test_what_never_was_an_id_leads_nowhere(raw: bytes, text: str) -> None:
    written = urlsafe_b64encode(raw).rstrip(b"=").decode()
    for candidate in (written, text):
        ticket = read_id(candidate)
        assert ticket is None or ticket.address.reservation_id(ticket.secret) == candidate


def test_an_id_of_a_place_that_does_not_exist_leads_nowhere() -> None:
    text = Address(SLOTS + 2 * HOMES, bytes(16)).reservation_id(new_secret())

    assert read_id(text) is None


@given(slot=st.integers(0, SLOTS - 1), name=NAMES)
def test_a_record_lies_in_the_slot_of_its_counters(slot: int, name: bytes) -> None:
    home = address_in_slot(name, str(slot)).home()

    assert home.slot == str(slot)
    assert not home.due_list
    assert key_slot(record_key("prefix:", home.name).encode()) == slot


def test_every_slot_has_a_tag() -> None:
    for slot in range(SLOTS):
        home = address_in_slot(bytes(16), str(slot)).home()
        assert key_slot(record_key("", home.name).encode()) == slot


@given(name=NAMES)
def test_a_home_has_its_records_and_its_list_in_one_slot(name: bytes) -> None:
    home = home_address(name).home()

    keys = [record_key("", home.name), record_key("", home.due_list)]
    assert {str(key_slot(key.encode())) for key in keys} == {home.slot}
    assert home.due_list == home_of(name[0]).due_list
    assert len(set(keys)) == 2


@given(name=NAMES)
def test_a_name_has_one_key_whether_or_not_slots_are_enforced(name: bytes) -> None:
    """F12, while a replica learns that they are."""
    shared = shared_address(name).home()

    assert shared.name == home_address(name).home().name
    assert (shared.slot, shared.due_list) == ("", "")


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_each_request_has_a_name_of_its_own(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (name_of_request(*one) == name_of_request(*other)) == (one == other)


def test_texts_do_not_flow_into_each_other() -> None:
    assert name_of_request("ab", "c", "d") != name_of_request("a", "bc", "d")
    assert len(name_of_request("\ud800", "", "")) == 16
