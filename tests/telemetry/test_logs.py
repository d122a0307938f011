from __future__ import annotations

import io
import json
import logging
from datetime import datetime, timedelta

import pytest
import structlog

from ratelimit_service.core.judge import Code, Decision, Result, Status
from ratelimit_service.telemetry.decision_log import DecisionLog
from ratelimit_service.telemetry.logs import configure_logs
from ratelimit_service.telemetry.prometheus import PrometheusRecorder

pytestmark = pytest.mark.usefixtures("_own_logging")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _configured(level: str = "INFO", *, as_json: bool = True) -> io.StringIO:
    stream = io.StringIO()
    configure_logs(level, stream, json=as_json)
    return stream


def _fail() -> None:
    password = "local-secret"
    raise ConnectionError(f"no answer from rediss://user:{password}@redis:6379/0")


def test_an_event_is_one_json_object_with_its_time_in_utc() -> None:
    stream = _configured()
    structlog.get_logger("ratelimit_service.runtime").info("listening", address="[::1]:8081")
    event = json.loads(stream.getvalue())
    at = datetime.fromisoformat(event.pop("timestamp"))
    assert at.utcoffset() == timedelta(0)
    assert event == {
        "event": "listening",
        "level": "info",
        "logger": "ratelimit_service.runtime",
        "address": "[::1]:8081",
    }


@pytest.mark.parametrize("library", ["grpc._cython", "aiohttp.server", "redis", "asyncio"])
def test_libraries_write_the_same_objects(library: str) -> None:
    stream = _configured()
    logging.getLogger(library).warning("lost %d of %d", 1, 2)
    event = json.loads(stream.getvalue())
    assert event["event"] == "lost 1 of 2"
    assert (event["level"], event["logger"]) == ("warning", library)


def test_events_below_the_level_are_left_out() -> None:
    stream = _configured("WARNING")
    structlog.get_logger().info("quiet")
    logging.getLogger("grpc").info("quiet")
    assert not stream.getvalue()


def test_an_exception_is_structured_and_shows_no_local_variables() -> None:
    stream = _configured()
    try:
        _fail()
    except ConnectionError:
        structlog.get_logger().exception("store failed")
    (line,) = stream.getvalue().splitlines()
    (raised,) = json.loads(line)["exception"]
    assert raised["exc_type"] == "ConnectionError"
    assert raised["frames"][-1]["name"] == "_fail"
    assert "local-secret" not in line


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@redis:6379",
        "rediss://user:secret@redis:6379/1",
        "postgresql://secret@ledger/db",
    ],
)
def test_passwords_in_urls_are_masked_wherever_they_stand(url: str, *, as_json: bool) -> None:
    stream = _configured(as_json=as_json)
    structlog.get_logger().warning(f"no answer from {url}", url=url, nested={"urls": [url]})
    logging.getLogger("redis").error("Error connecting to %s.", url)
    text = stream.getvalue()
    assert "secret" not in text
    assert text.count("://***@") == 4


@pytest.mark.parametrize(("stream", "coloured"), [(_Terminal(), True), (io.StringIO(), False)])
def test_people_get_colours_on_a_terminal_only(stream: io.StringIO, *, coloured: bool) -> None:
    configure_logs("INFO", stream, json=False)
    structlog.get_logger().info("listening", address="here")
    assert ("\x1b[" in stream.getvalue()) == coloured
    assert "listening" in stream.getvalue()


def test_the_last_configuration_holds_also_for_loggers_that_were_used_before() -> None:
    logger = structlog.get_logger("early")
    first = _configured()
    logger.info("one")
    second = _configured()
    logger.info("two")
    assert ("one" in first.getvalue(), "two" in first.getvalue()) == (True, False)
    assert ("one" in second.getvalue(), "two" in second.getvalue()) == (False, True)


@pytest.mark.parametrize(("level", "lines"), [("DEBUG", 2), ("INFO", 0)])
def test_decisions_are_logged_at_debug_and_counted_all_the_same(level: str, lines: int) -> None:
    stream = _configured(level)
    recorder = PrometheusRecorder()
    log = DecisionLog(recorder)
    log.decided("shop", Decision(Code.OK, (Status(Code.OK, Result.UNMATCHED),)), 0.25)
    log.failed("shop", "UNAVAILABLE")
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(events) == lines
    if events:
        assert events[0]["event"] == "decided"
        assert events[0]["statuses"] == ["- unmatched"]
        assert events[0]["overall"] == "OK"
    counted = recorder.registry.get_sample_value("ratelimit_decision_duration_seconds_count")
    assert counted == 1
