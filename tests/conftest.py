"""What all tests share: how many examples hypothesis draws, and how golden files are renewed."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fast",
    max_examples=6,
    deadline=None,  # decided by bytes, never by time
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("ci", settings.get_profile("fast"), max_examples=15)
settings.register_profile(
    "search", settings.get_profile("fast"), max_examples=300, derandomize=False
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--regen`` writes golden files anew instead of comparing with them."""
    parser.addoption(
        "--regen", action="store_true", help="write golden files instead of comparing with them"
    )


@pytest.fixture
def regen(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written."""
    return bool(request.config.getoption("--regen"))
