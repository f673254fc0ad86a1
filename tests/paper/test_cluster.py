"""Notebooks on dask workers, real processes: killed ones, schedulers that restart, other versions, full disks."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_reproduce import new_toy, wait_until, write_notebook

import ot_latent
from ot_latent.paper.reproduce import reproduce
from ot_latent.paper.sweep import sweep

RECORDS = """\
import ot_latent as otl
run = otl.Run("{name}", scale, seed, train, device, data_dir, figures_dir)
values = otl.Uniform(-1, 1).sample(1000, rng=run.rng())
run.record("fig1.uniform.matched", values.mean(), p_value=0.5)
run.table()"""


def stops_once(told):
    """A cell that says which process its kernel belongs to and waits; at the second time it goes on."""
    return (
        f"import os, pathlib, time\ntold = pathlib.Path({str(told)!r})\n"
        "if not told.exists():\n    told.write_text(f'{os.getppid()}\\n', encoding='utf-8')\n    time.sleep(600)"
    )


@pytest.fixture
def toy(tmp_path):
    return new_toy(tmp_path)


class Cluster:
    """A scheduler and workers, each a process of its own."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.file, self.processes = folder / "scheduler.json", []
        self.address = f"tcp://127.0.0.1:{self.port}"

    def _start(self, program, *options, shell="", **environment):
        command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *options, "--no-dashboard"]
        if shell:
            command = ["bash", "-c", f'{shell}; exec "$@"', "bash", *command]
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
        )
        self.processes.append(process)
        return process

    def scheduler(self):
        self.file.unlink(missing_ok=True)
        options = ("--host", "127.0.0.1", "--port", str(self.port), "--scheduler-file", str(self.file))
        process = self._start("scheduler", *options)
        wait_until(self.file.exists, 60)
        return process

    def worker(self, shell="", **environment):
        environment = {"PYTHONPATH": str(Path(ot_latent.__file__).parents[1])} | environment
        return self._start("worker", self.address, "--no-nanny", "--nthreads", "1", shell=shell, **environment)


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    yield cluster
    for process in cluster.processes:
        process.kill()
        process.wait()


def test_the_ledger_is_the_same_on_processes_and_on_workers(toy):
    for name in ("02_one", "03_other"):
        write_notebook(toy / "notebooks", name, RECORDS.format(name=name))
    files = [toy / folder / "results.json" for folder in ("processes", "workers")]
    for file, where in zip(files, ({}, {"cluster": "local"}), strict=True):
        report = reproduce(root=toy, jobs=3, figures_dir=file.parent, build_dir=toy / file.parent.name, **where)
        assert report.failed == ()
    assert files[0].read_bytes() == files[1].read_bytes() and b"03_other" in files[0].read_bytes()


def test_a_killed_worker_and_a_killed_scheduler_lose_nothing(toy, cluster, tmp_path):
    told = [tmp_path / "told0", tmp_path / "told1"]
    for number, name in enumerate(("02_stops", "03_stops")):
        write_notebook(toy / "notebooks", name, stops_once(told[number]))
    scheduler = cluster.scheduler()
    workers = [cluster.worker(), cluster.worker()]
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(reproduce, ["1", "2", "3"], root=toy, cluster=cluster.address)
        wait_until(lambda: all(path.exists() and path.read_text("utf-8").endswith("\n") for path in told), 120)
        victim = int(told[0].read_text(encoding="utf-8"))
        assert victim in [worker.pid for worker in workers]
        os.kill(victim, signal.SIGKILL)
        cluster.worker()
        wait_until(lambda: (toy / "build" / "notebooks" / "02_stops.json").exists(), 120)
        scheduler.kill()
        with pytest.raises(ConnectionError, match=r"the scheduler has gone\. Remedy: start it.*is not done again"):
            future.result(timeout=120)
    scheduler.wait()
    cluster.scheduler()
    cluster.worker()
    report = reproduce(["1", "2", "3"], root=toy, cluster=cluster.address)
    assert report.failed == () and [outcome.unchanged for outcome in report.outcomes] == [True, True, False]


def test_workers_with_other_versions_or_another_disk_are_refused(toy, cluster, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(Path(ot_latent.__file__).parent, other / "ot_latent", ignore=shutil.ignore_patterns("__pycache__"))
    source = other / "ot_latent" / "__init__.py"
    source.write_text(source.read_text("utf-8").replace('__version__ = "', '__version__ = "9.'), encoding="utf-8")
    cluster.scheduler()
    bad = cluster.worker(PYTHONPATH=str(other))
    here = ot_latent.__version__.replace(".", r"\.")
    with pytest.raises(ValueError, match=rf"worker tcp://.* ot-latent 9\.{here}, source \w+, here {here}, source \w+"):
        reproduce(root=toy, cluster=str(cluster.file))
    bad.kill()
    bad.wait()
    cluster.worker(shell="ulimit -f 64")  # no file over 64 kB stands for a full disk
    write_notebook(toy / "notebooks", "02_prints", "print('x' * 200_000)")
    report = reproduce(root=toy, cluster=cluster.address)
    (outcome,) = report.failed
    assert outcome.name == "02_prints" and "File too large" in outcome.error, outcome.error
    assert outcome.error.startswith("OSError")


def test_a_cluster_that_is_not_there_is_named(toy, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file nowhere.*local.*tcp://host:8786.*--scheduler-file"):
        reproduce(root=toy, cluster="nowhere")


def test_a_notebook_that_fails_with_one_seed_costs_that_seed_alone(toy, capsys):
    name = "02_fails_once"
    write_notebook(toy / "notebooks", name, RECORDS.format(name=name), "assert seed != 1, 'on purpose'")
    report = sweep(["2"], seeds=range(3), root=toy, cluster="local", jobs=3)
    assert [outcome.name for outcome in report.failed] == [f"{name}-seed-1"]
    assert "AssertionError: on purpose" in capsys.readouterr().err
    table = (toy / "build" / "sweep-quick" / "SWEEP.md").read_text(encoding="utf-8")
    assert "2 of 3 seeds" in table and "Seed 1 failed: AssertionError: on purpose." in table
