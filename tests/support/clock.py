"""The clock of this machine, which the service and its store follow."""

from __future__ import annotations

import time

from tests.support.processes import wait_until


def start_early_in_a_minute() -> None:
    """Wait for the next minute when fewer than 5 seconds of this one are left.

    For the few tests that are about a minute's window and take far less than 5 seconds.
    """
    wait_until(lambda: time.time() % 60 < 55, "early in a minute")
