"""What the modules of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.support.upstream import Upstream
from tests.support.valkey import Standalone


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """A store that several replicas of the service can share, and that outlives them."""
    with Standalone() as server:
        yield server.url


@pytest.fixture(scope="module", params=["memory", "valkey"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Each kind of store in turn. Tests keep apart by their users, not by empty stores."""
    url: str = request.getfixturevalue("valkey_url") if request.param == "valkey" else "memory://"
    return url


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
def user() -> str:
    """A user that nobody has counted yet."""
    return uuid4().hex
