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
