"""Calls of a strict domain: which of their charges can refuse, and which are made at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ratelimit_service.core.modes import Modes
from ratelimit_service.core.planned import Charge, PlannedDescriptor


def enforce_strictly(
    planned: Sequence[PlannedDescriptor], modes: Modes, *, lacks_entry: bool
) -> list[PlannedDescriptor]:
    """Return what a call charges where no refused call charges anything.

    Quotas refuse only when all are over, and nothing does in shadow. A call that is refused
    whatever its counters hold only looks at them, but for what reports amounts already spent.
    """
    if modes.shadow:
        return [_with(item, map(unrefusing, item.charges)) for item in planned]
    items = _number_quotas(planned, modes)
    if lacks_entry or any(item.refused for item in items):
        items = [_with(item, map(_looking, item.charges)) for item in items]
    return items


def _number_quotas(planned: Sequence[PlannedDescriptor], modes: Modes) -> list[PlannedDescriptor]:
    """Give quotas their numbers; where one of them cannot be over, none of them refuses."""
    items = list(planned)
    quotas = [index for index, item in enumerate(items) if item.is_quota(modes)]
    can_refuse = all(_can_refuse(items[index]) for index in quotas)
    for number, index in enumerate(quotas, start=1):
        charges = items[index].charges
        items[index] = _with(
            items[index],
            (_in_quota(charge, number) if can_refuse else unrefusing(charge) for charge in charges),
        )
    return items


def _can_refuse(item: PlannedDescriptor) -> bool:
    return any(charge.terms.refuses for charge in item.charges)


def _with(item: PlannedDescriptor, charges: Iterable[Charge]) -> PlannedDescriptor:
    return replace(item, charges=tuple(charges))


def unrefusing(charge: Charge) -> Charge:
    """Return a charge that never refuses its call."""
    return replace(charge, terms=replace(charge.terms, refuses=False))


def _in_quota(charge: Charge, number: int) -> Charge:
    return replace(charge, terms=replace(charge.terms, quota=number))


def _looking(charge: Charge) -> Charge:
    return charge if charge.terms.always else replace(charge, amount=0)
