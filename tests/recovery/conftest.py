"""A proven cache of a real primary, with rows that only the cache holds."""

from __future__ import annotations

import pytest

from tests.support.proven import CACHE_ONLY, Store, held

__all__ = ["CACHE_ONLY", "Store", "held"]


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def store(shared_store: Store) -> Store:
    shared_store.restore()
    return shared_store
