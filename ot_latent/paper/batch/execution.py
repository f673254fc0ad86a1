"""Run the jobs of a batch: on processes of this machine, or on any executor that shares the file system."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from threading import Thread

from ot_latent._arrays import cores
from ot_latent._storage import locked
from ot_latent.paper.batch.jobs import Job, Outcome, read_progress, where
from ot_latent.paper.batch.lines import ProgressLines

_POLL_SECONDS = 0.5  # lines on a terminal follow the cells as fast as one reads


def run_all(
    jobs: Sequence[Job],
    build: Path,
    workers: int,
    executor: Executor | None = None,
    *,
    force: bool = False,
    last: Sequence[Job] = (),
) -> tuple[Outcome, ...]:
    """Run what is not done yet, or all with ``force``, and then the ``last`` in any case; how each ended, in order.

    What does not end, whatever happens to its process, is an outcome with an error as well.
    """
    with _progress_folder(build) as folder:
        threads = max(1, cores() // workers)
        first, then = ([replace(job, folder=folder, threads=threads) for job in part] for part in (jobs, last))
        outcomes: dict[str, Outcome] = {}
        with ProgressLines([*first, *then]) as lines:
            for job in first:
                if not force and job.is_done():
                    outcomes[job.name] = Outcome(job.name, 0.0, unchanged=True)
                    lines.end(outcomes[job.name])
            for part in ([job for job in first if job.name not in outcomes], then):
                outcomes |= _run(part, workers, executor, lines) if part else {}
    return tuple(outcomes[job.name] for job in (*first, *then))


@contextmanager
def _progress_folder(build: Path) -> Iterator[Path]:
    """A folder of this batch alone, locked as long as it works; those of batches that were killed are removed."""
    with ExitStack() as stack:
        with locked(build / "progress"):
            for old in build.glob("progress-*/"):
                with suppress(BlockingIOError), locked(old / "run", wait=False):
                    rmtree(old, ignore_errors=True)
            folder = TemporaryDirectory(prefix="progress-", dir=build, ignore_cleanup_errors=True)
            path = Path(stack.enter_context(folder))
            stack.enter_context(locked(path / "run"))
        yield path


def _run(jobs: list[Job], workers: int, executor: Executor | None, lines: ProgressLines) -> dict[str, Outcome]:
    """Run all jobs and return their outcomes by name, whatever happens to the processes."""
    if executor is not None:
        outcomes = _collect(executor, jobs, lines)
    else:
        outcomes = _collect_in_processes(jobs, workers, lines)
        # A killed process takes the whole pool along, the innocent with the guilty one:
        # those that did not end run again, each alone.
        broken = [job for job in jobs if job.name not in outcomes and len(jobs) > 1]
        for job in broken if any(read_progress(job) for job in broken) else []:
            outcomes |= _collect_in_processes([job], 1, lines)
    for job in jobs:
        if job.name not in outcomes:
            guard = "" if read_progress(job) else """; a script calls reproduce below `if __name__ == "__main__":`"""
            died = f"its process died (killed, or out of memory) in {where(job)}{guard}"
            outcomes[job.name] = Outcome(job.name, 0.0, died)
            lines.end(outcomes[job.name])
    return outcomes


def _collect_in_processes(jobs: list[Job], workers: int, lines: ProgressLines) -> dict[str, Outcome]:
    spawn = get_context("spawn")  # a fork would copy the locks of the caller's threads
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin) as pool:
        return _collect(pool, jobs, lines)


def execute_job(job: Job) -> Outcome:
    """What a worker does."""
    # a grammar of internationalised addresses, of no use here, which papermill would load for seconds
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from ot_latent.paper.batch.kernels import execute  # with papermill, which only workers need

    return execute(job)


def _begin() -> None:
    """Make this worker end at once on Ctrl-C and when its parent is killed; its kernel follows.

    Without it a worker goes on with the next notebook, or waits for one for ever.
    """

    def watch() -> None:
        if parent := parent_process():
            parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=watch, daemon=True).start()


def _collect(executor: Executor, jobs: list[Job], lines: ProgressLines) -> dict[str, Outcome]:
    """Outcomes of the jobs by name; those that went down with the executor are left out."""
    pending = {executor.submit(execute_job, job): job for job in jobs}
    outcomes: dict[str, Outcome] = {}
    try:
        while pending:
            for future in wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED).done:
                job = pending.pop(future)
                if outcome := _outcome(future, job):
                    outcomes[job.name] = outcome
                    lines.end(outcome)
            lines.update()
    finally:
        for future in pending:  # only after an interrupt
            future.cancel()
    return outcomes


def _outcome(future: "Future[Outcome]", job: Job) -> Outcome | None:
    """How a job ended; None where its process died. Jobs raise nothing: errors are the executor's own."""
    if future.cancelled():
        raise ConnectionError(
            "the scheduler has gone. Remedy: start it, and then the same command again: what is done is not done again"
        )
    if isinstance(error := future.exception(), BrokenExecutor):
        return None
    if error is not None:
        return Outcome(job.name, 0.0, f"{type(error).__name__}: {error}\nin {where(job)}")
    return future.result()
