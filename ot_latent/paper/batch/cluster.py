"""Jobs as tasks of a cluster, by dask.distributed.

Workers share the file system: notebooks, data and weights go by path, and a task is a few hundred bytes. A task
whose worker dies runs again on another one, up to four times.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from ot_latent._arrays import cores
from ot_latent.paper.batch import keys
from ot_latent.paper.batch.jobs import Job, Outcome

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE = 60  # seconds for the first worker to come


@contextmanager
def connected(cluster: str, workers: int, versions: Mapping[str, str], folder: Path) -> Iterator[Executor]:
    """An executor of jobs on a cluster.

    Parameters
    ----------
    cluster : str
        "local" for so many worker processes of this machine, the address of a scheduler ("tcp://host:8786"), or the
        file that a scheduler wrote (``dask scheduler --scheduler-file FILE``).
    workers : int
        Of "local".
    versions : mapping
        Those here, as by `keys.versions`.
    folder : path
        That all workers must see: the checkout.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or a worker does not see the folder.
    ValueError
        If a worker has other versions; the message names both.
    ConnectionError
        If there is no scheduler, or no worker comes.
    """
    with ExitStack() as stack:
        client = stack.enter_context(_client(cluster, workers, stack))
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as error:
            raise ConnectionError(f"no worker came to {cluster}. Remedy: start some, `dask worker ADDRESS`") from error
        _require_same(client, versions, folder)
        yield _Tasks(client)


def _client(cluster: str, workers: int, stack: ExitStack) -> "Client":
    from distributed import Client, LocalCluster

    try:
        if cluster == "local":
            settings: dict[str, Any] = {"threads_per_worker": 1, "processes": True, "dashboard_address": None}
            local = LocalCluster(n_workers=workers, silence_logs=logging.ERROR, **settings)
            return Client(stack.enter_context(local))
        if "://" in cluster:
            return Client(cluster)
        if not Path(cluster).is_file():
            raise FileNotFoundError(
                f"there is no file {cluster}. --cluster is local, the address of a scheduler such as tcp://host:8786, "
                "or the file that `dask scheduler --scheduler-file` wrote"
            )
        return Client(scheduler_file=cluster)
    except TimeoutError as error:
        raise ConnectionError(f"no scheduler answers at {cluster}") from error


def _require_same(client: "Client", versions: Mapping[str, str], folder: Path) -> None:
    found = client.run(_look, str(folder), on_error="return")
    for worker, what in found.items():
        if isinstance(what, Exception):
            raise ValueError(f"the worker {worker} cannot run notebooks: {type(what).__name__}: {what}")
        theirs, sees = what
        if different := keys.differences(versions, theirs):
            raise ValueError(f"the worker {worker} has other versions: {different}. Remedy: install the same there")
        if not sees:
            raise FileNotFoundError(f"the worker {worker} does not see {folder}: workers share the file system")


def _look(folder: str) -> tuple[dict[str, str], bool]:
    return keys.versions(), Path(folder).is_dir()


class _Tasks(Executor):
    """An executor of jobs: each takes the threads of its worker's machine that fall to one."""

    def __init__(self, client: "Client") -> None:
        self._tasks = client.get_executor(pure=False)
        workers = client.scheduler_info(n_workers=-1)["workers"]
        slots: Counter[str] = Counter()
        for address, worker in workers.items():
            slots[_host(address)] += worker["nthreads"]
        self._threads = {_host(worker): max(1, n // slots[_host(worker)]) for worker, n in client.run(cores).items()}

    def submit(self, function: Callable[[Job], Outcome], job: Job) -> "Future[Outcome]":  # type: ignore[override]
        return self._tasks.submit(_on_worker, function, job, self._threads)


def _on_worker(function: Callable[[Job], Outcome], job: Job, threads: Mapping[str, int]) -> Outcome:
    from distributed import get_worker

    return function(replace(job, threads=threads.get(_host(get_worker().address), 1)))


def _host(address: str) -> str:
    return urlparse(address).hostname or address
