"""Run the notebooks headless, several at a time, and render the table of their results.

Each notebook is one job on a `concurrent.futures.Executor`: processes of this machine by default, a cluster's
workers, or any other executor that shares the file system.
"""

import os
import re
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from ot_latent._arrays import cores
from ot_latent._storage import checkout, missing, write_atomically
from ot_latent.paper.batch import keys
from ot_latent.paper.batch.execution import run_all
from ot_latent.paper.batch.jobs import Job, Outcome
from ot_latent.paper.ledger import read_results, read_seeds, render_results, require_writable
from ot_latent.training.devices import check_device

#: Reads the results that the others write, so it runs when they are done.
LAST = "00_start_here"


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


@dataclass(frozen=True)
class Work:
    """How runs are carried out.

    Attributes
    ----------
    jobs : int, optional
        How many notebooks run at a time; by default one a core. The threads of each kernel are
        its share of the cores.
    data_dir : path, optional
        A folder that holds the data sets; by default `$OT_LATENT_DATA`, then the user's cache.
    executor : Executor, optional
        Runs the jobs; must share the file system. By default `jobs` processes of this machine.
    cluster : str, optional
        Runs the jobs as tasks of dask.distributed: "local" for `jobs` workers on this machine, the address of a
        scheduler ("tcp://host:8786"), or the file that it wrote. Needs the extra ``cluster``.
    force : bool
        Run also what is done.
    start_timeout : int
        Seconds that a kernel may take to start. One that dies ends the wait.
    """

    jobs: int | None = None
    data_dir: str | Path | None = None
    executor: Executor | None = None
    cluster: str | None = None
    force: bool = False
    start_timeout: int = 600


def reproduce(
    notebooks: Sequence[str] | None = None,
    *,
    scale: str = "quick",
    seed: int = 0,
    train: bool = False,
    device: str = "auto",
    figures_dir: str | Path | None = None,
    build_dir: str | Path | None = None,
    root: str | Path | None = None,
    **work: Any,
) -> Report:
    """Regenerate figures and tables by executing notebooks; the committed ones are not touched.

    A notebook that fails does not stop the others. Failures are printed when all have ended, then
    the table of results. Kernels run in the Python of this process, whatever kernels are installed.
    What ran before, with the same code, parameters, library, weights and data, is not run again, so
    that the same call goes on where one was killed.
    A script calls it below ``if __name__ == "__main__":``, because the processes import the script.

    Parameters
    ----------
    notebooks : sequence of str, optional
        Names ("04_perturbation_table"), numbers ("4" or "04") or paths; by default all.
    scale : "smoke", "quick" or "paper"
    seed : int
    train : bool
        Train from scratch instead of loading the shipped weights.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    figures_dir : path, optional
        Where figures and results go. By default the checkout's `figures` for what is committed
        (scale "quick", seed 0, shipped weights), else `build/figures-<scale>`.
    build_dir : path, optional
        Where executed copies go, in the folder `notebooks`; by default the checkout's `build`.
    root : path, optional
        The checkout; by default the one in which this package lies.
    **work
        Of `Work`: jobs, data_dir, executor, cluster, force, start_timeout.

    Raises
    ------
    ValueError
        If there is no such notebook, and the message lists those that exist, or no such device; or the
        record of results is damaged; or a worker of the cluster has other versions.
    PermissionError
        If figures or the executed copies cannot be written.
    ConnectionError
        If the cluster is not there, or its scheduler has gone; the same call goes on when it is back.
    """
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
    parameters = {"scale": scale, "seed": seed, "train": train, "device": device, "figures_dir": str(figures)}
    planned = [Planned(path.stem, path, build / "notebooks" / path.name, parameters) for path in sources]
    report = run_planned(planned, build, Work(**work))
    if (figures / "results.json").exists():
        table = render_results(read_results(figures), read_seeds(figures))
        write_atomically(figures / "RESULTS.md", table)
        click.echo(f"\n{table}")
    return report


@dataclass(frozen=True)
class Planned:
    """A run to be: its name, notebook, executed copy, and parameters, without ``data_dir``."""

    name: str
    source: Path
    target: Path
    parameters: dict[str, Any]


def run_planned(planned: Sequence[Planned], build: Path, work: Work) -> Report:
    """Run what is not done yet, `LAST` after all others. Failures are printed."""
    if not find_spec("papermill"):
        raise ModuleNotFoundError(missing("papermill"), name="papermill")
    versions, workers, data_dir = keys.versions(), work.jobs or min(cores(), len(planned)), work.data_dir
    if work.cluster is not None:  # the environment of its workers is their own
        data_dir = data_dir or os.environ.get("OT_LATENT_DATA")
    data, shared = None if data_dir is None else str(Path(data_dir).resolve()), keys.inputs(versions, data_dir)

    def job(run: Planned) -> Job:
        for folder in (run.target.parent, Path(run.parameters["figures_dir"])):
            folder.mkdir(parents=True, exist_ok=True)
        parameters, key = {**run.parameters, "data_dir": data}, keys.key(run.source, run.parameters, shared)
        return Job(run.name, run.source, run.target, build, parameters, 1, work.start_timeout, versions, key)

    first = [job(run) for run in planned if run.source.stem != LAST]
    last = [job(run) for run in planned if run.source.stem == LAST]
    on_cluster: AbstractContextManager[Executor | None] = nullcontext(work.executor)
    if work.cluster is not None:
        from ot_latent.paper.batch.cluster import connected

        on_cluster = connected(work.cluster, workers, versions, planned[0].source.parent)
    with on_cluster as given:
        report = Report(run_all(first, build, workers, given, force=work.force, last=last))
    for outcome in report.failed:
        click.echo(f"\n{'-' * 80}\n{outcome.name} failed: {outcome.error}", err=True)
    return report


def select_notebooks(wanted: Sequence[str] | None, folder: Path) -> list[Path]:
    """Paths of the notebooks that are meant, each once; all of the folder's for None or nothing.

    Copies are left out, and named on stderr: files that are not called NN_words, or whose run has another name.
    """
    files = sorted(folder.glob("*.ipynb"))
    named = {path: re.search(r"""Run\(\\?["'](\w+)""", path.read_text(encoding="utf-8")) for path in files}
    copies = [p for p, run in named.items() if not re.fullmatch(r"\d\d_\w+", p.stem) or (run and run[1] != p.stem)]
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
