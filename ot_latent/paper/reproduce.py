"""Run the notebooks headless, several at a time, and render the table of their results.

Each notebook is one job on a `concurrent.futures.Executor`: processes of this machine by default; any
other executor that shares the file system (a cluster's, say) can be passed instead.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context, parent_process
from pathlib import Path
from shutil import get_terminal_size, rmtree
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import click
from tqdm import tqdm

from ot_latent._arrays import cores
from ot_latent._storage import checkout, locked, write_atomically
from ot_latent.paper.jobs import Job, Outcome, read_progress, where
from ot_latent.paper.ledger import read_results, render_results, require_writable
from ot_latent.training.devices import check_device

#: Reads the results that the others write, so it runs when they are done.
LAST = "00_start_here"

_POLL_SECONDS = 0.5  # lines on a terminal follow the cells as fast as one reads
_LINE_EVERY_SECONDS = 15  # in a log, where lines stay


@dataclass(frozen=True)
class Report:
    """How all jobs ended."""

    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The outcomes with an error."""
        return tuple(outcome for outcome in self.outcomes if outcome.error is not None)

    def __int__(self) -> int:
        """Exit code of a command: 0 when every notebook ran to its end, else 1."""
        return int(bool(self.failed))


def reproduce(
    notebooks: Sequence[str] | None = None,
    *,
    scale: str = "quick",
    seed: int = 0,
    train: bool = False,
    jobs: int | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    figures_dir: str | Path | None = None,
    build_dir: str | Path | None = None,
    executor: Executor | None = None,
    root: str | Path | None = None,
    start_timeout: int = 600,
) -> Report:
    """Regenerate figures and tables by executing notebooks; the committed ones are not touched.

    A notebook that fails does not stop the others. Failures are printed when all have ended, then
    the table of results. Kernels run in the Python of this process, whatever kernels are installed.
    A script calls it below ``if __name__ == "__main__":``, because the processes import the script.

    Parameters
    ----------
    notebooks : sequence of str, optional
        Names ("04_perturbation_table"), numbers ("4" or "04") or paths; by default all.
    scale : "smoke", "quick" or "paper"
    seed : int
    train : bool
        Train from scratch instead of loading the shipped weights.
    jobs : int, optional
        How many notebooks run at a time; by default one a core. The threads of each kernel are
        its share of the cores.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    data_dir : path, optional
        A folder that holds the data sets; by default `$OT_LATENT_DATA`, then the user's cache.
    figures_dir : path, optional
        Where figures and results go. By default the checkout's `figures` for what is committed
        (scale "quick", seed 0, shipped weights), else `build/figures-<scale>`.
    build_dir : path, optional
        Where executed copies go, in the folder `notebooks`; by default the checkout's `build`.
    executor : Executor, optional
        Runs the jobs; must share the file system. By default `jobs` processes of this machine.
    root : path, optional
        The checkout; by default the one in which this package lies.
    start_timeout : int
        Seconds that a kernel may take to start. One that dies ends the wait.

    Raises
    ------
    ValueError
        If there is no such notebook, and the message lists those that exist, or no such device; or the
        record of results is damaged.
    PermissionError
        If figures or the executed copies cannot be written.
    """
    if not find_spec("papermill"):
        raise ModuleNotFoundError("papermill is not installed: pip install 'ot-latent[notebooks]'", name="papermill")
    check_device(device)
    root = Path(root or checkout()).resolve()
    build = Path(build_dir or root / "build").resolve()
    is_committed = scale == "quick" and seed == 0 and not train
    figures = Path(figures_dir or (root / "figures" if is_committed else build / f"figures-{scale}")).resolve()
    sources = select_notebooks(notebooks, root / "notebooks")
    for folder, name in ((figures, "figures"), (build, "build")):
        require_writable(
            folder, f"name a folder of yours, {name}_dir= or --{name}-dir, or work in a copy of the checkout"
        )
    read_results(figures)  # what is damaged is better told before the work than after it
    figures.mkdir(parents=True, exist_ok=True)
    parameters = {
        "scale": scale,
        "seed": seed,
        "train": train,
        "device": device,
        "data_dir": None if data_dir is None else str(Path(data_dir).resolve()),
        "figures_dir": str(figures),
    }
    workers = jobs or min(cores(), len(sources))
    report = _execute(sources, build, parameters, workers, executor, start_timeout)
    for outcome in report.failed:
        click.echo(f"\n{'-' * 80}\n{outcome.name} failed: {outcome.error}", err=True)
    if (figures / "results.json").exists():
        table = render_results(read_results(figures))
        write_atomically(figures / "RESULTS.md", lambda file: file.write_text(table, encoding="utf-8"))
        click.echo(f"\n{table}")
    return report


def _execute(
    sources: list[Path],
    build: Path,
    parameters: dict[str, Any],
    workers: int,
    executor: Executor | None,
    start_timeout: int,
) -> Report:
    """Execute the notebooks, so many at a time, `LAST` after all others."""
    executed = build / "notebooks"
    executed.mkdir(parents=True, exist_ok=True)
    with _progress_folder(build) as folder:
        threads = max(1, cores() // workers)
        jobs = [Job(source, executed / source.name, folder, parameters, threads, start_timeout) for source in sources]
        with ProgressLines(jobs) as lines:
            outcomes = _run([job for job in jobs if job.name != LAST], workers, executor, lines)
            outcomes |= _run([job for job in jobs if job.name == LAST], workers, executor, lines)
    return Report(tuple(outcomes[job.name] for job in jobs))


@contextmanager
def _progress_folder(build: Path) -> Iterator[Path]:
    """A folder of this run alone, locked as long as it works; those of runs that were killed are removed."""
    with ExitStack() as stack:
        with locked(build / "progress"):
            for old in build.glob("progress-*/"):
                with suppress(BlockingIOError), locked(old / "run", wait=False):
                    rmtree(old, ignore_errors=True)
            folder = TemporaryDirectory(prefix="progress-", dir=build, ignore_cleanup_errors=True)
            path = Path(stack.enter_context(folder))
            stack.enter_context(locked(path / "run"))
        yield path


def select_notebooks(wanted: Sequence[str] | None, folder: Path) -> list[Path]:
    """Paths of the notebooks that are meant, each once; all of the folder's for None or nothing.

    Copies are left out, and named on stderr: files that are not called NN_words, or whose run has another name.
    """
    files = sorted(folder.glob("*.ipynb"))
    copies = [path for path in files if _is_copy(path)]
    existing = [path for path in files if path not in copies]
    if copies:
        click.echo(f"Left out, as copies or drafts: {', '.join(path.stem for path in copies)}", err=True)
    if not existing:
        raise ValueError(f"there are no notebooks in {folder}")

    def find(name: str) -> Path:
        found = [
            path
            for path in existing
            if name in (path.stem, path.name, path.stem[:2], str(int(path.stem[:2])))
            or Path(name).resolve() == path.resolve()
        ]
        if len(found) == 1:
            return found[0]
        wrong = f"{name!r} is the number of several notebooks" if found else f"there is no notebook {name!r}; there are"
        raise ValueError(f"{wrong}: {', '.join(path.stem for path in found or existing)}")

    return list(dict.fromkeys(find(str(name)) for name in wanted or existing))


def _is_copy(path: Path) -> bool:
    run = re.search(r"""Run\(\\?["'](\w+)""", path.read_text(encoding="utf-8"))
    return not re.fullmatch(r"\d\d_\w+", path.stem) or bool(run and run[1] != path.stem)


def _run(jobs: list[Job], workers: int, executor: Executor | None, lines: "ProgressLines") -> dict[str, Outcome]:
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


def _collect_in_processes(jobs: list[Job], workers: int, lines: "ProgressLines") -> dict[str, Outcome]:
    spawn = get_context("spawn")  # a fork would copy the locks of the caller's threads
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin) as pool:
        return _collect(pool, jobs, lines)


def _execute_job(job: Job) -> Outcome:
    from ot_latent.paper.kernels import execute  # with papermill, which only workers need

    return execute(job)


def _begin() -> None:
    """Make this worker end at once on Ctrl-C and when its parent is killed; its kernel follows.

    Without it a worker goes on with the next notebook, or waits for one for ever.
    """

    def watch() -> None:
        if parent := parent_process():
            parent.join()
        os._exit(1)

    # a grammar of internationalised addresses, of no use here, which papermill would load for seconds
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=watch, daemon=True).start()


def _collect(executor: Executor, jobs: list[Job], lines: "ProgressLines") -> dict[str, Outcome]:
    """Outcomes of the jobs by name; those that went down with the executor are left out."""
    futures = {executor.submit(_execute_job, job): job for job in jobs}
    outcomes: dict[str, Outcome] = {}
    pending = set(futures)
    try:
        while pending:
            done, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                if not isinstance(future.exception(), BrokenExecutor):
                    outcome = future.result()
                    outcomes[outcome.name] = outcome
                    lines.end(outcome)
            lines.update()
    finally:
        for future in pending:  # only after an interrupt
            future.cancel()
    return outcomes


class ProgressLines:
    """One line per notebook on stderr: name, cell k of n, elapsed.

    On a terminal the lines are updated in place; in a log there is a line when a notebook starts,
    when it ends, and now and then in between.
    """

    def __init__(self, jobs: list[Job]) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._width = max(map(len, self._jobs))
        self._began: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._ended: set[str] = set()
        self._bars: dict[str, tqdm[Any]] = {}

    def __enter__(self) -> "ProgressLines":
        if sys.stderr is not None and sys.stderr.isatty():  # None where it was closed
            for position, name in enumerate(self._jobs):
                # TQDM_DISABLE is for the bars inside of kernels
                columns = get_terminal_size().columns
                self._bars[name] = tqdm(position=position, bar_format="{desc}", ncols=columns, disable=False)
                self._say(name, "waits")
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            bar.close()

    def update(self) -> None:
        """Look where the running notebooks are, and say so."""
        now = time.monotonic()
        for name, job in self._jobs.items():
            state = None if name in self._ended else read_progress(job)
            if state is None:
                continue
            self._began.setdefault(name, now)
            silent = now - self._told.get(name, -_LINE_EVERY_SECONDS)
            if self._bars or silent >= _LINE_EVERY_SECONDS:
                self._told[name] = now
                self._say(name, f"cell {state['cell']} of {state['cells']}  {_clock(now - self._began[name])}")

    def end(self, outcome: Outcome) -> None:
        """Say how a notebook ended."""
        self._ended.add(outcome.name)
        self._say(outcome.name, f"{'done' if outcome.error is None else 'FAILED'}  {_clock(outcome.seconds)}")

    def _say(self, name: str, text: str) -> None:
        line = f"{name:{self._width}}  {text}"
        if name in self._bars:
            self._bars[name].set_description_str(line)
        else:
            click.echo(line, err=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
