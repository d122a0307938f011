"""The scripts of lua/ and core.slot answer alike, whatever is said and when."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_service.core.algorithms import Algorithm, Cap
from ratelimit_service.core.holds import Holds
from ratelimit_service.core.messages import (
    GRACE_US,
    LOOKED_AT,
    SWEEP_BOUND,
    Admit,
    Cancel,
    Exchange,
    Hold,
    HoldKind,
    Line,
    Look,
    Message,
    Renew,
    Verdict,
)
from ratelimit_service.core.slot import Slot
from ratelimit_service.core.units import MAX_AMOUNT, SECOND_US
from ratelimit_service.resources import lua_script
from ratelimit_service.store.redis.messages import holds_key
from tests.store.script_slot import ScriptSlot, execute
from tests.store.slot_steps import KEYS, MINUTE_US, START_US, STEPS, Conversation, Step
from tests.support.valkey import Standalone


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with Standalone() as server, server.client() as client:
        yield client


_CONVERSATIONS = {"keys": KEYS, "steps": st.lists(STEPS, min_size=15, max_size=40)}


@settings(max_examples=60, deadline=None)
@given(**_CONVERSATIONS)
def test_scripts_and_core_answer_alike(
    client: redis.Redis, keys: Sequence[str], steps: Sequence[Step]
) -> None:
    _converse(client, keys, steps)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@settings(max_examples=3_000, deadline=None)
@given(**_CONVERSATIONS)
def test_scripts_and_core_answer_alike_at_length(
    client: redis.Redis, keys: Sequence[str], steps: Sequence[Step]
) -> None:
    _converse(client, keys, steps)


def _converse(client: redis.Redis, keys: Sequence[str], steps: Sequence[Step]) -> None:
    client.flushall()
    core, scripts, conversation = Slot(), ScriptSlot(client), Conversation(keys)
    began_s = time.monotonic()
    for step in steps:
        conversation.pass_time(step.passing_us)
        now_us = conversation.now_us
        _lose(client, core, conversation.lost(step))
        for message in (conversation.message(step), conversation.look()):
            reply = core.handle(message, now_us)
            assert scripts.handle(message, now_us) == reply
            conversation.heard(message, reply)
        _assert_kept(client, core, now_us, began_s)


def test_scripts_and_core_answer_alike_about_crowds(client: redis.Redis) -> None:
    """More holds than one message looks at, or ends."""
    client.flushall()
    core, scripts = Slot(), ScriptSlot(client)
    cap = Cap(Algorithm.CONCURRENCY, 2 * SWEEP_BOUND + 5)
    one, half, all_of_it = (
        Line("key", cap, amount, amount, HoldKind.LEASE, MINUTE_US)
        for amount in (1, SWEEP_BOUND, cap.limit)
    )
    messages: list[tuple[Message, int]] = [
        *((Admit(f"{number}.", (one,)), START_US + number) for number in range(cap.limit)),
        (Admit("refused.", (half,)), START_US + cap.limit),
        (Look((half,)), START_US + MINUTE_US + 100),
        (Look((half,)), START_US + 2 * MINUTE_US),
        (Admit("swept.", (all_of_it,)), START_US + 2 * MINUTE_US),
        (Cancel("1", (one,)), START_US + 2 * MINUTE_US),
        (Admit("swept too.", (all_of_it,)), START_US + 2 * MINUTE_US),
    ]
    replies = []
    for message, now_us in messages:
        replies.append(core.handle(message, now_us))
        assert scripts.handle(message, now_us) == replies[-1]
    refused, *_, done = replies[cap.limit :]
    assert len(refused.views[0].releases) == LOOKED_AT
    assert done.verdict is Verdict.DONE


@pytest.mark.parametrize("algorithm", [Algorithm.CONCURRENCY, Algorithm.TOKEN_BUCKET])
def test_a_renewed_hold_keeps_its_keys(client: redis.Redis, algorithm: Algorithm) -> None:
    """F40: also where the counter itself says the same as before."""
    client.flushall()
    scripts, cap = ScriptSlot(client), Cap(algorithm, 10, SECOND_US, refill=10)
    line = Line("key", cap, 1, 1, HoldKind.LEASE, SECOND_US)
    (view,) = scripts.handle(Admit("a.", (line,)), START_US).views
    held = Hold("a.", HoldKind.LEASE, 1, view.state.at_us)
    longer = Exchange("key", cap, held, HoldKind.LEASE, 1, 3 * MINUTE_US)
    scripts.handle(Renew((longer,)), START_US)
    for key in ("key", holds_key("key")):
        assert execute(client, "PTTL", key) > 3 * MINUTE_US // 1_000


def _lose(client: redis.Redis, core: Slot, key: str | None) -> None:
    """Let both forget a counter or its holds, as a server does that evicts."""
    if key is None:
        return
    execute(client, "DEL", key)
    if key in core._cells:
        core._cells[key].state = None
    elif key.removesuffix(holds_key("")) in core._cells:
        core._cells[key.removesuffix(holds_key(""))].holds = Holds()


def _assert_kept(client: redis.Redis, core: Slot, now_us: int, began_s: float) -> None:
    """Every key has an expiry, and none before it is needed no more (F40)."""
    ttl_us = dict[str, int]()
    for key in execute(client, "KEYS", "*"):
        left_ms = execute(client, "PTTL", key)
        assert left_ms > 0
        passed_us = int((time.monotonic() - began_s) * 1_000_000)
        ttl_us[key.decode()] = (left_ms + 1) * 1_000 + passed_us
    for key, cell in core._cells.items():
        # A bucket may need more years to drain than a key can live.
        needed_us = min(core._kept_cells._until_us[key] - GRACE_US - now_us, MAX_AMOUNT)
        if needed_us <= 0:
            continue
        if cell.state is not None:
            assert ttl_us[key] >= needed_us
        if cell.holds:
            assert ttl_us[holds_key(key)] >= needed_us
    for name, until_us in core._kept_records._until_us.items():
        assert ttl_us[name] >= until_us - GRACE_US - now_us
    for names in core._records._due.values():
        assert ttl_us["{h1}due"] >= max(names.values()) - now_us


_FACTORS = st.integers(0, MAX_AMOUNT) | st.integers(0, 1_000) | st.just(MAX_AMOUNT)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 2**51), _FACTORS, st.floats(0, 1))
def test_scripts_multiply_and_divide_exactly(
    client: redis.Redis, divisor: int, factor: int, share: float
) -> None:
    part = int(share * divisor)
    source = lua_script("lib/base") + (
        "local quotient, remainder = muldiv(take_number(), take_number(), take_number())\n"
        "return {text(quotient), text(remainder)}"
    )
    found = execute(client, "EVAL", source, 0, START_US, part, factor, divisor)
    assert tuple(map(int, found)) == divmod(part * factor, divisor)
