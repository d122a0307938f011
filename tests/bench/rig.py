"""What the measurements run on: servers in processes of their own, and a load beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import grpc

from tests.bench.load import Measured
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.service import PROGRAM

ROUND_S: Final = 4.0
ROUNDS: Final = 3
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")

RULES: Final = """
domain: bench
descriptors:
  - key: team
    rate_limit: {unit: hour, requests_per_unit: 1000000000}
    descriptors:
      - key: user
        rate_limit: {unit: hour, requests_per_unit: 1000000000}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A gRPC server under load; ``script_calls`` counts those that its store has run."""

    name: str
    port: int
    process: Process
    script_calls: Callable[[], int] | None = None

    def cpu_seconds(self) -> float:
        """Processor time that the server has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


@dataclass(frozen=True, slots=True)
class Round:
    """One server's figures of one round. ``script_calls`` is a number per call."""

    measured: Measured
    cpu_us: float
    script_calls: float | None


@contextmanager
def noop_server() -> Iterator[Server]:
    """Start the server that decides nothing."""
    port = free_port()
    process = Process((sys.executable, "-m", "tests.bench.noop_server", str(port)))
    with process:
        process.start(lambda: _answers(port))
        yield Server("no-op", port, process)


@contextmanager
def service(
    name: str, rules: Path, store: str, script_calls: Callable[[], int] | None = None
) -> Iterator[Server]:
    """Start the service on a store."""
    port, http, admin = free_port(), free_port(), free_port()
    flags = [f"--grpc-address=127.0.0.1:{port}", f"--http-address=127.0.0.1:{http}"]
    flags += [f"--admin-address=127.0.0.1:{admin}", f"--config={rules}", f"--store={store}"]
    process = Process((str(PROGRAM), "serve", *flags), {"LOG_LEVEL": "WARNING"})
    with process:
        process.start(lambda: _answers(port))
        yield Server(name, port, process, script_calls)


def measure(server: Server, in_flight: int) -> Round:
    """Put a server under load for one round, from a process of its own."""
    cpu, calls = server.cpu_seconds(), server.script_calls and server.script_calls()
    arguments = (str(server.port), str(in_flight), str(ROUND_S))
    load = (sys.executable, "-m", "tests.bench.load", *arguments)
    printed = subprocess.run(load, capture_output=True, check=True, timeout=60).stdout
    measured = Measured(**json.loads(printed))
    # The warm-up is in both figures, at about the same rate.
    warm = measured.calls * (ROUND_S + 1.0) / ROUND_S
    scripts = None if server.script_calls is None else (server.script_calls() - (calls or 0)) / warm
    return Round(measured, (server.cpu_seconds() - cpu) / warm * 1e6, scripts)


def compare(servers: list[Server], in_flight: int) -> dict[str, list[Round]]:
    """Measure the servers in turn, several times, and print what was found."""
    rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
    for _ in range(ROUNDS):
        for server in servers:
            rounds[server.name].append(measure(server, in_flight))
    _print(rounds, servers[0].name, in_flight)
    return rounds


def ratio(rounds: dict[str, list[Round]], name: str, baseline: str) -> float:
    """Return the median, over the rounds, of a server's throughput to the baseline's."""
    pairs = zip(rounds[name], rounds[baseline], strict=True)
    return median(one.measured.per_second / base.measured.per_second for one, base in pairs)


def _print(rounds: dict[str, list[Round]], baseline: str, in_flight: int) -> None:
    columns = ("server", "calls/s", "p50 ms", "p99 ms", "cpu us", "scripts", "ratio")
    rows = [columns]
    for name, found in rounds.items():
        scripts = [one.script_calls for one in found if one.script_calls is not None]
        rows.append(
            (
                name,
                f"{median(one.measured.per_second for one in found):.0f}",
                f"{median(one.measured.p50_ms for one in found):.2f}",
                f"{median(one.measured.p99_ms for one in found):.2f}",
                f"{median(one.cpu_us for one in found):.0f}",
                f"{median(scripts):.3f}" if scripts else "-",
                f"{ratio(rounds, name, baseline):.2f}",
            )
        )
    title = f"ShouldRateLimit, two descriptors, {in_flight} in flight, median of {ROUNDS} rounds"
    table = ["".join(f"{cell:>10}" for cell in row) for row in rows]
    sys.stdout.write("\n".join(["", title, *table, ""]))


def _answers(port: int) -> bool:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    try:
        grpc.channel_ready_future(channel).result(timeout=0.2)
    except grpc.FutureTimeoutError:
        return False
    finally:
        channel.close()
    return True
