"""From settings to a store."""

from __future__ import annotations

from ratelimit_service.config.settings import StoreKind, StoreSettings
from ratelimit_service.store.across_slots import AcrossSlots
from ratelimit_service.store.base import Store
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.store.near_cache import NearCache
from ratelimit_service.telemetry.recorder import Recorder


async def open_store(settings: StoreSettings, recorder: Recorder) -> Store:
    """Open the store that the settings ask for, whether or not it can be reached (F31).

    Raises SettingsError when a certificate or a key for it cannot be used.
    """
    if settings.kind is StoreKind.MEMORY:
        return MemoryStore()  # nearer than any cache
    # Not above, since the client library would take a good part of the time of a start without it.
    from ratelimit_service.store.redis.connect import open_link  # noqa: PLC0415
    from ratelimit_service.store.redis.store import RedisStore  # noqa: PLC0415

    store = AcrossSlots(RedisStore(open_link(settings), recorder, key_prefix=settings.key_prefix))
    if settings.near_cache_bytes > 0:
        return NearCache(store, settings.near_cache_bytes)
    return store
