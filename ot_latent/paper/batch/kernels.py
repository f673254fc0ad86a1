"""One notebook in one kernel: what a worker of `reproduce` does."""

import json
import os
import platform
import re
import time
import traceback
from typing import Any

import papermill
from jupyter_client.kernelspec import KernelSpecManager
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from ot_latent._storage import write_atomically
from ot_latent.paper.batch import keys
from ot_latent.paper.batch.jobs import Job, Outcome, where
from ot_latent.paper.ledger import KEEP

_MOST_PRINTED = 10_000_000  # characters of all outputs: notebooks hold a twentieth


class _TooMuchPrintedError(Exception):
    """A notebook prints more than one can read, or a disk may hold."""


class _Client(PapermillNotebookClient):
    """Papermill's client, which ends a kernel that prints without end."""

    printed = 0

    def process_message(self, msg: Any, *arguments: Any, **named: Any) -> Any:
        if msg["msg_type"] in ("stream", "display_data", "execute_result"):
            self.printed += len(str(msg["content"]))
        if self.printed > _MOST_PRINTED:
            self.km.provisioner.process.kill()
            raise _TooMuchPrintedError
        return super().process_message(msg, *arguments, **named)


class _KernelEngine(Engine):
    """Papermill's engine, with an environment for the kernel alone and a file that tells the cell."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, job: Job, **_: Any) -> None:
        code = [i for i, cell in enumerate(nb_man.nb.cells) if cell.cell_type == "code"]

        def tell(cell: Any, cell_index: int) -> None:
            if not job.folder.is_dir():  # on a cluster, nobody else would end it
                raise RuntimeError("the command that started this run has ended")
            state = {"cell": code.index(cell_index) + 1, "cells": len(code), "source": cell.source}
            # in one step, because another process reads at any time
            write_atomically(job.file(".json"), json.dumps(state))

        client = _Client(nb_man, kernel_name=kernel_name, startup_timeout=job.start_timeout, on_cell_execute=tell)
        # no folder of kernels: another Python's may be called python3, too; this one's is the only one left
        client.create_kernel_manager().kernel_spec_manager = KernelSpecManager(kernel_dirs=[])
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(job.threads))
        environment = {**os.environ, "TQDM_DISABLE": "1", KEEP: "1", **threads}
        environment.pop("MPLBACKEND", None)  # with a backend from outside, figures would not be shown inline
        # what the kernel process itself says would tear the progress lines
        with job.file(".log").open("w", encoding="utf-8") as log:
            try:
                client.execute(cwd=str(job.source.parent), env=environment, stderr=log)
            except DeadKernelError as error:
                raise error if client.printed <= _MOST_PRINTED else _TooMuchPrintedError from error


papermill_engines.register("ot-latent", _KernelEngine)


def execute(job: Job) -> Outcome:
    """Execute one notebook. Errors are returned as text, because not all of them can be pickled."""
    start = time.monotonic()
    if other := keys.differences(job.versions, keys.versions()):
        return Outcome(job.name, 0.0, f"since the start, or on {platform.node()}, versions are others: {other}")
    error = None
    log = job.target.with_suffix(".log")
    # papermill fills in what stands in braces
    source, executed = (re.sub("[{}]", r"\g<0>\g<0>", str(path)) for path in (job.source, job.file(".ipynb")))
    try:
        # papermill would only warn and go on with the notebook's own values
        if missing := job.parameters.keys() - papermill.inspect_notebook(source).keys():
            return Outcome(job.name, 0.0, f"it has no parameters {', '.join(sorted(missing))}")
        kernel = {"engine_name": "ot-latent", "kernel_name": "python3", "language": "python", "job": job}
        notebook = papermill.execute_notebook(source, executed, job.parameters, progress_bar=False, **kernel)
        if any(output.get("ename") == "SystemExit" for cell in notebook.cells for output in cell.get("outputs", ())):
            error = f"it called sys.exit, and what follows did not run, in {where(job)}"
    except PapermillExecutionError as failure:
        lines = "\n".join(failure.traceback) or f"{failure.ename}: {failure.evalue}"
        error = f"{where(job)}\n{lines}"
    except DeadKernelError:
        error = f"the kernel died (killed, or out of memory; see {log}) in {where(job)}"
    except _TooMuchPrintedError:
        error = f"it printed more than {_MOST_PRINTED:,} characters, in {where(job)}"
    except OSError as failure:  # a full disk, a folder that is gone
        error = f"{type(failure).__name__}: {failure} (on {platform.node()})"
    except Exception as failure:
        error = f"\n{traceback.format_exc()}"
        if "Kernel didn't respond" in str(failure):
            error = f"{failure} (see {log}). Remedy: give it longer with --start-timeout"
    finally:
        for path in (job.file(".ipynb"), job.file(".log")):
            if path.exists():
                os.replace(path, job.target.with_suffix(path.suffix))
    if error is None:
        job.note()
    return Outcome(job.name, time.monotonic() - start, error)
