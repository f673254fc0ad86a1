"""Work that threads do ahead of the loop that needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice


@contextmanager
def ahead(function: Callable, steps: Iterable, workers: int = 1) -> Iterator[Iterator]:
    """An iterator over ``function(step)`` for each step, in order, as a context.

    Threads compute at most ``workers + 1`` results that nobody has asked for. An exception of the function
    is raised where its result would have come, with its traceback. However the context is left, no
    thread outlives it.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ahead")
    steps = iter(steps)

    def submit(count: int) -> list:
        return [pool.submit(function, step) for step in islice(steps, count)]

    def results() -> Iterator:
        pending = deque(submit(workers + 1))
        while pending:
            result = pending.popleft().result()
            pending += submit(1)
            yield result

    try:
        yield results()
    finally:
        pool.shutdown(cancel_futures=True)
