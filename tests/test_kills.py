"""Work that is killed goes on, ends with the same bits, and leaves nothing behind: a few kills. `kills.py` has more."""

import os
from pathlib import Path

import pytest
from kills import KINDS, killed


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_killed_goes_on_and_leaves_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    report = killed(kind, 1, 0, tmp_path)
    assert report.faults == [] and report.kills.total() == 1
