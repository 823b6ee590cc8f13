"""What a test does when this machine lacks the server it needs."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(what: str) -> NoReturn:
    """Skips the test, naming what is missing; with CI=true nothing may be missing, so it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {what}", pytrace=False)
    pytest.skip(f"{what} is not on this machine")
