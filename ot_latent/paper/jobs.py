"""One notebook in one kernel: what a worker of `reproduce` does.

A job tells the cell that it is at through a small file, so that any process that shares the file
system can follow it.
"""

import json
import os
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from ot_latent._storage import write_atomically


@dataclass(frozen=True)
class Job:
    """One notebook to execute; holds nothing but what can travel to another machine."""

    name: str
    source: Path
    target: Path
    progress: Path
    parameters: dict[str, Any]
    threads: int


@dataclass(frozen=True)
class Outcome:
    """How a job ended. `error` is what a person needs to see, None when all went well."""

    name: str
    seconds: float
    error: str | None = None


class _KernelEngine(Engine):
    """Papermill's engine, with an environment for the kernel alone and a file that tells the cell."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, job: Job, start_timeout: int, **_: Any) -> None:
        code = [i for i, cell in enumerate(nb_man.nb.cells) if cell.cell_type == "code"]

        def tell(cell: Any, cell_index: int) -> None:
            state = {"cell": code.index(cell_index) + 1, "cells": len(code), "source": cell.source}
            # in one step, because another process reads at any time
            write_atomically(job.progress, lambda file: file.write_text(json.dumps(state), encoding="utf-8"))

        client = PapermillNotebookClient(
            nb_man, kernel_name=kernel_name, startup_timeout=start_timeout, on_cell_execute=tell
        )
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(job.threads))
        environment = {**os.environ, "TQDM_DISABLE": "1", **threads}
        environment.pop("MPLBACKEND", None)  # with a backend from outside, figures would not be shown inline
        # what the kernel process itself says would tear the progress lines
        with _log(job).open("w", encoding="utf-8") as log:
            client.execute(cwd=str(job.source.parent), env=environment, stderr=log)


papermill_engines.register("ot-latent", _KernelEngine)


def read_progress(job: Job) -> dict[str, Any] | None:
    """The cell that a job said last that it runs, None for a job that has not begun."""
    return json.loads(job.progress.read_text(encoding="utf-8")) if job.progress.is_file() else None


def run_job(job: Job) -> Outcome:
    """Execute one notebook. Errors are returned as text, because not all of them can be pickled."""
    start = time.monotonic()
    error = None
    try:
        # papermill would only warn and go on with the notebook's own values
        if missing := job.parameters.keys() - papermill.inspect_notebook(job.source).keys():
            return Outcome(job.name, 0.0, f"it has no parameters {', '.join(sorted(missing))}")
        papermill.execute_notebook(
            job.source, job.target, job.parameters, engine_name="ot-latent", progress_bar=False, job=job
        )
    except PapermillExecutionError as failure:
        lines = "\n".join(failure.traceback) or f"{failure.ename}: {failure.evalue}"
        error = f"{where(job)}\n{lines}"
    except DeadKernelError:
        error = f"the kernel died (killed, or out of memory; see {_log(job)}) in {where(job)}"
    except Exception:
        error = f"\n{traceback.format_exc()}"
    return Outcome(job.name, time.monotonic() - start, error)


def _log(job: Job) -> Path:
    return job.target.with_suffix(".log")


def where(job: Job) -> str:
    """The cell that ran last and its source."""
    state = read_progress(job)
    if state is None:
        return "no cell: it had not begun"
    return f"cell {state['cell']} of {state['cells']}:\n\n{state['source']}\n"
