"""What the command line of `serve` says, as it was typed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of `serve`; None where a flag is absent and the environment decides."""

    config: str | None = None
    store: str | None = None
    grpc_address: str | None = None
    http_address: str | None = None
    admin_address: str | None = None
