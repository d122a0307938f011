"""From settings to a link."""

from __future__ import annotations

from ratelimit_service.config.settings import StoreKind, StoreSettings
from ratelimit_service.store.redis.cluster import ClusterLink
from ratelimit_service.store.redis.link import Link
from ratelimit_service.store.redis.sentinel import SentinelLink
from ratelimit_service.store.redis.standalone import StandaloneLink


def open_link(settings: StoreSettings) -> Link:
    """Return a link to the servers that the settings name. Nothing is connected yet (F31).

    Raises SettingsError when a certificate or a key cannot be used.
    """
    match settings.kind:
        case StoreKind.STANDALONE:
            return StandaloneLink(settings)
        case StoreKind.SENTINEL:
            return SentinelLink(settings)
        case StoreKind.CLUSTER:
            return ClusterLink(settings)
        case StoreKind.MEMORY:
            raise ValueError("a store in memory has no servers")
