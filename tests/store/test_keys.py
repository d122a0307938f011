"""Keys: one for each counter, and none that a caller can steer."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot

from ratelimit_service.core.algorithms import Algorithm
from ratelimit_service.core.counters import Counter, colocated
from ratelimit_service.core.limits import CalendarWindow, Period
from ratelimit_service.core.rules import Step
from ratelimit_service.store.keys import LONGEST, KeyEncoder

MINUTE_US = 60_000_000

# Everything that the format itself uses, what it looks like escaped, and half a surrogate pair.
_HOSTILE = st.text(alphabet="ab_/{}=;[]#%*~ 2F5é\ud800", max_size=6)
_TEXTS = _HOSTILE | st.text(max_size=4) | st.sampled_from(["x" * 300, "x" * 299 + "y"])
_STEPS = st.builds(Step, _TEXTS, _TEXTS, st.booleans())
_COUNTERS = st.builds(
    Counter,
    domain=_TEXTS,
    path=st.lists(_STEPS, max_size=3).map(tuple),
    limit_name=_TEXTS,
    window_us=st.sampled_from([1, 60, 999_999, 1_000_000, 60_000_000]),
    measure=_TEXTS,
    algorithm=st.sampled_from([Algorithm.FIXED_WINDOW, Algorithm.CALENDAR]),
    overridden=st.booleans(),
    calendar=st.none() | st.builds(CalendarWindow, st.sampled_from(Period), _TEXTS),
    colocation=st.lists(_STEPS, max_size=2).map(tuple),
)


def _counter(*steps: Step, domain: str = "llm", colocation: tuple[Step, ...] = ()) -> Counter:
    return Counter(domain, steps, "", MINUTE_US, colocation=colocation)


def _tag(key: str) -> str:
    """Return the part of a key that decides its slot, as Redis finds it."""
    first = key.index("{")
    return key[first + 1 : key.index("}", first)]


@given(one=_COUNTERS, other=_COUNTERS)
@example(_counter(Step("a", "1_b_2")), _counter(Step("a", "1"), Step("b", "2")))
@example(_counter(Step("a", "1/b=2")), _counter(Step("a", "1"), Step("b", "2")))
@example(_counter(Step("a", "x*")), _counter(Step("a", "x*", shared=True)))
@example(_counter(Step("a", "[x*]")), _counter(Step("a", "x*", shared=True)))
@example(_counter(Step("a", "%2F")), _counter(Step("a", "/")))
@example(_counter(Step("", "")), _counter())
@example(_counter(domain="#"), _counter(domain=""))
@example(_counter(Step("a", "1")), _counter(Step("a", "1"), colocation=(Step("a", "1"),)))
@example(
    _counter(Step("a", "1"), colocation=(Step("b", "1"),)),
    _counter(Step("a", "2"), colocation=(Step("b", "1"),)),
)
def test_counters_that_differ_have_keys_that_differ(one: Counter, other: Counter) -> None:
    key = KeyEncoder().key

    assert (key(one) == key(other)) == (one == other)


@given(counter=_COUNTERS, prefix=_TEXTS.filter(lambda text: text.isprintable()))
def test_a_key_has_one_tag_whatever_the_texts_are(counter: Counter, prefix: str) -> None:
    key = KeyEncoder(prefix).key(counter)

    assert key.count("{") == key.count("}") == 1
    assert _tag(key)
    assert _tag(key) == _tag(KeyEncoder().key(counter))


@given(one=_COUNTERS, other=_COUNTERS)
def test_the_tag_is_that_of_the_descriptor_alone(one: Counter, other: Counter) -> None:
    """Or that of the entries by which the domain's counters are to lie together."""
    tags = [(counter.domain, counter.colocation or counter.path) for counter in (one, other)]
    same = tags[0] == tags[1]

    assert (_tag(KeyEncoder().key(one)) == _tag(KeyEncoder().key(other))) == same


@given(counter=_COUNTERS)
def test_keys_are_bounded_printable_ascii(counter: Counter) -> None:
    key = KeyEncoder().key(counter)

    assert key.isascii()
    assert key.isprintable()
    assert " " not in key
    assert len(key) <= 2 * LONGEST + 2


@pytest.mark.parametrize("text", ["}{", "{", "}", "{}", "", "{other}"])
def test_no_value_steers_the_slot(text: str) -> None:
    one, other = _counter(Step("a", text)), _counter(Step("a", text), Step("b", "2"))

    assert key_slot(KeyEncoder().key(one).encode()) != key_slot(KeyEncoder().key(other).encode())


def test_limits_of_a_descriptor_share_a_slot_under_any_prefix() -> None:
    path = (Step("user", "alice"),)
    one = KeyEncoder("{x}").key(Counter("llm", path, "rpm", MINUTE_US))
    other = KeyEncoder("{x}").key(Counter("llm", path, "daily", 86_400_000_000, "cost"))

    assert key_slot(one.encode()) == key_slot(other.encode()) == key_slot(b"llm/user=alice")


@pytest.mark.parametrize(
    ("counter", "key"),
    [
        (
            Counter("llm", (Step("user", "alice"), Step("model", "gpt-4")), "rpm", MINUTE_US),
            "rl:{llm/user=alice/model=gpt-4}rpm;requests;fixed_window;60s",
        ),
        (
            Counter("llm", (Step("team", "eu-*", shared=True),), "", 1_500_000),
            "rl:{llm/team=[eu-*]};requests;fixed_window;1500000us",
        ),
        (
            Counter("a/b", (Step("path", "/v1?x={y}"),), "", MINUTE_US, overridden=True),
            "rl:{a%2Fb/path=%2Fv1%3Fx%3D%7By%7D};requests;fixed_window;60s;override",
        ),
        (
            Counter("llm", (Step("prompt", "x" * 1_000),), "", MINUTE_US),
            "rl:{#4ec25fdb9f9fddc451c5eacbc2dbb8d2532e43c4};requests;fixed_window;60s",
        ),
        (
            Counter(
                "llm",
                (Step("team", "core"), Step("user", "ann")),
                "daily",
                0,
                "cost",
                Algorithm.CALENDAR,
                calendar=CalendarWindow(Period.DAY, "Europe/Berlin"),
                colocation=(Step("team", "core"),),
            ),
            "rl:{llm/team=core}/team=core/user=ann;daily;cost;calendar;calendar_day@Europe%2FBerlin",
        ),
    ],
)
def test_keys_are_what_operators_read(counter: Counter, key: str) -> None:
    assert KeyEncoder("rl:").key(counter) == key


def test_descriptors_of_one_team_share_a_slot_where_the_domain_says_so() -> None:
    team = (Step("team", "core"),)
    keys = [
        KeyEncoder().key(_counter(*path, colocation=colocated(path, ("team",))))
        for path in (team, (*team, Step("user", "ann")), (Step("user", "bob"), *team))
    ]

    assert len({key_slot(key.encode()) for key in keys}) == 1
    assert len(set(keys)) == 3


def test_a_descriptor_without_the_entries_lies_by_itself() -> None:
    path = (Step("user", "ann"),)

    assert colocated(path, ("team",)) == ()
    assert colocated((Step("team", "a"), *path), ("team", "org")) == ()
