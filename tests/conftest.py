"""Servers that are started once for all tests, and handed to each as new."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.cluster import Cluster
from tests.support.sentinels import Sentinels
from tests.support.valkey import Standalone

# gRPC writes what callers did, such as going away, among the results of the tests.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

# A busy machine is no defect of what is tested.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def _standalone() -> Iterator[Standalone]:
    with Standalone() as server:
        yield server


@pytest.fixture
def standalone_server(_standalone: Standalone) -> Standalone:
    """A server without keys, that the test may stop, stall and start again."""
    _standalone.ensure_running()
    _standalone.flush()
    return _standalone


@pytest.fixture(scope="session")
def _sentinels() -> Iterator[Sentinels]:
    with Sentinels() as group:
        yield group


@pytest.fixture
def sentinel_servers(_sentinels: Sentinels) -> Sentinels:
    """A master with its replica and three sentinels, without keys."""
    _sentinels.ensure_running()
    _sentinels.flush()
    return _sentinels


@pytest.fixture(scope="session")
def _cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster_servers(_cluster: Cluster) -> Cluster:
    """Three masters that serve every slot, without keys."""
    _cluster.ensure_running()
    _cluster.flush()
    return _cluster
