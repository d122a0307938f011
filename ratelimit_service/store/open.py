"""From settings to a store."""

from __future__ import annotations

from ratelimit_service.config.settings import StoreKind, StoreSettings
from ratelimit_service.store.base import Store
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.telemetry.recorder import Recorder


async def open_store(settings: StoreSettings, recorder: Recorder) -> Store:
    """Open the store that the settings ask for, whether or not it can be reached (F31)."""
    if settings.kind is StoreKind.MEMORY:
        return MemoryStore()
    raise NotImplementedError
