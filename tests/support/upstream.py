"""An HTTP server behind Envoy, that says what reached it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from ratelimit_service.config.settings import TcpAddress

TOKENS: Final = "x-answer-tokens"
"""Request header: answer this many tokens in a header ``x-tokens``, and as an LLM would."""


class Upstream:
    """Answers every call 200 with the headers of the request as JSON.

    Asked for tokens, it also reports them as ``usage.total_tokens``, in the JSON or, where
    the path ends in ``/stream``, in the last event of a stream. ``calls`` counts requests.
    """

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def address(self) -> TcpAddress:
        """Where it listens."""
        return TcpAddress("127.0.0.1", self._server.server_port)

    @property
    def calls(self) -> int:
        """How many requests have come so far."""
        return self._server.calls

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # connections that Envoy keeps open must not hold the test up

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._lock = threading.Lock()
        self.calls = 0

    def count(self) -> None:
        with self._lock:
            self.calls += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement
    server: _Server

    def do_GET(self) -> None:
        self.server.count()
        headers = {name.lower(): value for name, value in self.headers.items()}
        tokens = headers.get(TOKENS)
        usage = {} if tokens is None else {"usage": {"total_tokens": int(tokens)}}
        if self.path.endswith("/stream"):
            self._answer("text/event-stream", _events(usage), tokens)
        else:
            body = json.dumps({"headers": headers, **usage}).encode()
            self._answer("application/json", body, tokens)

    # The name of the argument is the base class's.
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay quiet."""

    def _answer(self, content_type: str, body: bytes, tokens: str | None) -> None:
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        if tokens is not None:
            self.send_header("x-tokens", tokens)
        self.end_headers()
        self.wfile.write(body)


def _events(usage: Mapping[str, object]) -> bytes:
    parts = ({"delta": "Hello"}, {"delta": "", **usage})
    lines = [f"data: {json.dumps(part)}\n\n" for part in parts]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()
