"""What all tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every machine, and no deadline: machines differ in speed.
settings.register_profile("ot-latent", derandomize=True, deadline=None)
settings.load_profile("ot-latent")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of its own, where `datasets.cache_dir` is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ot_latent"


@pytest.fixture
def empty_data(tmp_path, monkeypatch, cache) -> Path:
    """An empty data folder of its own, as $OT_LATENT_DATA, and an empty cache."""
    monkeypatch.setenv("OT_LATENT_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A checkout of its own for training at `smoke`: its states and weights, and few images."""
    from ot_latent import training

    monkeypatch.setattr(training, "checkout", lambda: tmp_path)
    monkeypatch.setattr(training, "_SMOKE_IMAGES", 512)
    monkeypatch.setitem(training._METRIC_IMAGES, "smoke", 100)
    return tmp_path
