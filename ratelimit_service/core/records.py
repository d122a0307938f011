"""What a slot remembers of reservations, and which of them a sweeper must look after."""

from __future__ import annotations

from ratelimit_service.core.algorithms import CounterState
from ratelimit_service.core.messages import LATE_US, Read, Record, Swap


class Records:
    """Records by name, and lists of those that are due. Messages say more."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._due: dict[str, dict[str, int]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def find(self, name: str, now_us: int) -> Record | None:
        """Return a record unless it has come to its end."""
        record = self._records.get(name)
        if record is None or needed_until_us(record) <= now_us:
            return None
        return record

    def read(self, message: Read, now_us: int) -> Record | None:
        """Return a record; a name of none is taken off the list."""
        record = self.find(message.name, now_us)
        if record is None and message.due_list:
            self._take_off(message.due_list, message.name)
        return record

    def agrees(self, swap: Swap, now_us: int) -> bool:
        """Tell whether the record has the revision that a swap expects."""
        record = self.find(swap.name, now_us)
        return swap.expected == (0 if record is None else record.revision)

    def write(self, swap: Swap, now_us: int, states: tuple[CounterState, ...]) -> Record:
        """Write a record. ``states``, else those of the swap, else the former ones, are kept."""
        before = self.find(swap.name, now_us)
        states = states or swap.states
        expires_at_us = now_us + swap.lasts_us
        if before is not None and not swap.lasts_us:
            expires_at_us = before.expires_at_us
        admitted_at_us = now_us if states else 0
        if before is not None and not states:
            states, admitted_at_us = before.states, before.admitted_at_us
        record = Record(
            revision=swap.expected + 1,
            state=swap.state,
            payload=swap.payload,
            secret=swap.secret,
            expires_at_us=expires_at_us,
            body=swap.body,
            admitted_at_us=admitted_at_us,
            states=states,
        )
        self._records[swap.name] = record
        self._list(swap, now_us)
        return record

    def due(self, due_list: str, now_us: int, at_most: int) -> tuple[str, ...]:
        """Name the records that are due, the longest due first."""
        listed = self._due.get(due_list, {})
        due = sorted((due_us, name) for name, due_us in listed.items() if due_us <= now_us)
        return tuple(name for _, name in due[:at_most])

    def forget(self, name: str) -> None:
        """Drop a record."""
        self._records.pop(name, None)

    def _list(self, swap: Swap, now_us: int) -> None:
        if not swap.due_list:
            return
        if swap.due_us:
            self._due.setdefault(swap.due_list, {})[swap.name] = now_us + swap.due_us
        else:
            self._take_off(swap.due_list, swap.name)

    def _take_off(self, due_list: str, name: str) -> None:
        names = self._due.get(due_list, {})
        names.pop(name, None)
        if not names:
            self._due.pop(due_list, None)


def needed_until_us(record: Record) -> int:
    """Return when a record comes to its end."""
    return record.expires_at_us + LATE_US
