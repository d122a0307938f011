"""Scripts on the masters of a cluster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from ratelimit_service.config.settings import Address, StoreSettings
from ratelimit_service.errors import StoreTimeoutError, StoreUnavailableError
from ratelimit_service.store.redis.access import Access
from ratelimit_service.store.redis.ask import Panel, Search, ask
from ratelimit_service.store.redis.evaluate import Outcome, evaluate, run_until
from ratelimit_service.store.redis.link import ScriptCall
from ratelimit_service.store.redis.node import Node
from ratelimit_service.store.redis.refusals import (
    ConnectionLostError,
    NotMasterError,
    RedirectError,
    UnreachableError,
)
from ratelimit_service.store.redis.topology import SLOTS, slot_of, slot_ranges

# Enough that one of them lives; asking all of a large cluster would be a burden to it.
_ASKED_AT_ONCE: Final = 5
_LONGEST_SEARCH_S: Final = 1.0
_SIGNS_OF_CHANGE: Final = (
    ConnectionLostError,
    NotMasterError,
    StoreTimeoutError,
    UnreachableError,
)


class ClusterLink:
    """All masters of a cluster. Redirections are followed; failures make it look again (F35)."""

    enforces_slots: Final = True

    def __init__(self, settings: StoreSettings) -> None:
        """Connect to ``settings.addresses``, later. Raises SettingsError for a bad file."""
        self._access = Access.to_data(settings)
        self._timeout_s = settings.timeout_s
        self._seeds = settings.addresses
        self._nodes: dict[Address, Node] = {}
        self._owners: list[Node | None] = [None] * SLOTS
        self._search = Search(self._find_owners)

    def lane(self, key: str) -> str:
        """Name the node that serves the key as far as is known, or nothing."""
        owner = self._owners[slot_of(key)]
        return "" if owner is None else str(owner.address)

    async def run(self, lane: str, calls: Sequence[ScriptCall]) -> Sequence[Outcome]:  # noqa: ARG002  # slots may have moved since
        """Run the calls, in one pipeline for each node that serves some of them by now."""
        deadline = self._deadline()
        return await run_until(deadline, calls, lambda some: self._attempt(some, deadline))

    async def ping(self) -> None:
        """Return when every slot is served and every master answers.

        Raises StoreUnavailableError when that is not so.
        """
        deadline = self._deadline()
        await self._search.result(deadline)
        unserved = self._owners.count(None)
        if unserved:
            raise StoreUnavailableError(f"no node of the cluster serves {unserved} of its slots")
        masters = {owner for owner in self._owners if owner is not None}
        pings = [ask(master, ("PING",), deadline) for master in masters]
        for answer in await asyncio.gather(*pings, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer

    async def close(self) -> None:
        """Close every connection."""
        await self._search.cancel()
        for node in self._nodes.values():
            await node.close()

    async def _attempt(self, calls: Sequence[ScriptCall], deadline: float) -> Sequence[Outcome]:
        """Run each call at the node that serves its slot. Some may have to be repeated."""
        if any(self._owner(call) is None for call in calls):
            try:
                await self._search.result(deadline)
            except StoreUnavailableError as error:
                return [error] * len(calls)
        by_owner: dict[Node | None, list[int]] = {}
        for at, call in enumerate(calls):
            by_owner.setdefault(self._owner(call), []).append(at)
        if len(by_owner) == 1:
            return await self._run_at(next(iter(by_owner)), calls, deadline)
        parts = await asyncio.gather(
            *(
                self._run_at(owner, [calls[at] for at in places], deadline)
                for owner, places in by_owner.items()
            )
        )
        outcomes: dict[int, Outcome] = {}
        for places, part in zip(by_owner.values(), parts, strict=True):
            outcomes.update(zip(places, part, strict=True))
        return [outcomes[at] for at in range(len(calls))]

    async def _run_at(
        self, node: Node | None, calls: Sequence[ScriptCall], deadline: float
    ) -> Sequence[Outcome]:
        if node is None:
            return [StoreUnavailableError(f"no node serves slot {_slot(call)}") for call in calls]
        outcomes = await evaluate(node, calls, deadline)
        if not any(isinstance(outcome, StoreUnavailableError) for outcome in outcomes):
            return outcomes
        if any(_is_sign_of_change(outcome) for outcome in outcomes):
            self._search.start()
        return await asyncio.gather(
            *(
                self._pursue(node, call, outcome, deadline)
                for call, outcome in zip(calls, outcomes, strict=True)
            )
        )

    async def _pursue(
        self, node: Node, call: ScriptCall, outcome: Outcome, deadline: float
    ) -> Outcome:
        """Follow a redirection, or find out who has taken over from a node that is gone."""
        match outcome:
            case RedirectError(asking=True):
                target = self._node(outcome.target)
                (outcome,) = await evaluate(target, [call], deadline, asking=True)
            case RedirectError():
                self._owners[_slot(call)] = self._node(outcome.target)
            case UnreachableError():
                return await self._after_losing(node, call, outcome, deadline)
        return outcome

    async def _after_losing(
        self, node: Node, call: ScriptCall, outcome: Outcome, deadline: float
    ) -> Outcome:
        try:
            await self._search.result(deadline)
        except StoreUnavailableError:
            return outcome
        owner = self._owner(call)
        if owner is None or owner is node:
            return outcome
        return NotMasterError(f"{owner.address} follows {node.address}")

    async def _find_owners(self) -> None:
        """Replace what is known by what some node says."""
        addresses = list({*self._seeds, *self._nodes})
        panel = Panel(random.sample(addresses, min(len(addresses), _ASKED_AT_ONCE)), self._access)
        patience_s = min(_LONGEST_SEARCH_S, self._timeout_s / 2)
        (said,) = await panel.ask(
            ("CLUSTER", "SLOTS"),
            enough=1,
            deadline=asyncio.get_running_loop().time() + patience_s,
        )
        ranges = slot_ranges(said)
        if not ranges:
            raise UnreachableError(f"{said.source} knows of no node that serves slots")
        owners: list[Node | None] = [None] * SLOTS
        for part in ranges:
            master = self._node(part.master)
            owners[part.slots.start : part.slots.stop] = [master] * len(part.slots)
        self._owners = owners
        await self._let_go_of_others({part.master for part in ranges})

    async def _let_go_of_others(self, masters: AbstractSet[Address]) -> None:
        for address in self._nodes.keys() - masters:
            await self._nodes.pop(address).close()

    def _owner(self, call: ScriptCall) -> Node | None:
        return self._owners[_slot(call)]

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = Node(address, self._access)
        return node

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout_s


def _slot(call: ScriptCall) -> int:
    return slot_of(call.keys[0])


def _is_sign_of_change(outcome: Outcome) -> bool:
    """Whether slots have moved to another node, or are about to."""
    if isinstance(outcome, RedirectError):
        return not outcome.asking
    return isinstance(outcome, _SIGNS_OF_CHANGE)
