"""Processes that write the same file take turns."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, wait: bool = True):
    """One writer at a time. The system drops the lock of a process that dies.

    Raises
    ------
    BlockingIOError
        If another process has the lock and ``wait`` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise BlockingIOError(f"another process is at work in {path.parent}") from error
        yield
