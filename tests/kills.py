"""Work that is killed at random points and started again: is anything lost, damaged, or left behind?

As a program it kills a hundred times, in ten minutes or more: python tests/kills.py [--kills N] [--seed N] [KIND ...]
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from filelock import FileLock

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / room) for room in ("datasets", "paper", "scores", "training")]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LOADED = "torch._dynamo requests train_in_a_process evaluation_toys mirrors test_image_cache test_cluster".split()
PATIENCE = 120  # seconds for what a killed process started to end
ROUNDS = 60  # units of work of the kinds that compute here


def note(folder: Path) -> None:
    """Count one unit of work."""
    with (folder / "units").open("ab", buffering=0) as file:
        file.write(b".")


def count_steps(folder: Path) -> None:
    """Count the steps of all optimisers."""
    import torch

    step = torch.optim.Adam.step

    def counted(self, *arguments):
        note(folder)
        return step(self, *arguments)

    torch.optim.Adam.step = counted


def train(folder: Path) -> None:
    import train_in_a_process as small

    count_steps(folder)
    small.prepare()
    small.train("noisy", folder, device="cpu", save_seconds=0)


def fit(folder: Path) -> None:
    import ot_latent as otl

    count_steps(folder)
    codes = np.random.default_rng(0).standard_normal((300, 3)) ** 3
    latent = otl.LatentTransport(iterations=ROUNDS, batch=32, layers=2, width=8, tolerance=0.2, device="cpu")
    latent.fit(codes, folder / "states", save_seconds=0)
    otl.save(latent, folder / "map.safetensors")


def evaluate(folder: Path) -> None:
    import evaluation_toys as toys

    def slow(z):
        note(folder)
        time.sleep(0.005)
        return toys.generator(z)

    found = toys.evaluate(slow, operations=["2-point linear"], n=20 * ROUNDS, batch=20, resume=folder / "state.npz",
                          save_every=0)  # fmt: skip
    (folder / "found.txt").write_text(repr(found), encoding="utf-8")


def decode(folder: Path) -> None:
    from test_image_cache import WANTED, Noise

    from ot_latent.datasets import cache

    class Slow(Noise):
        def chunks(self, start, most):
            for chunk in super().chunks(start, most):
                note(folder)
                time.sleep(0.005)
                yield chunk

    cache.SECONDS = 0
    cache.decoded_images(Slow(10 * ROUNDS), WANTED, "noise", "raise")


def download(folder: Path) -> None:
    from mirrors import serving

    from ot_latent import datasets

    content = bytes(range(256)) * 40

    def slow(send):
        note(folder)
        send(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content))
        for first in range(0, len(content), 256):
            send(content[first : first + 256])
            time.sleep(0.01)

    with serving(one=slow) as (address, _):
        file = datasets.DataFile(
            "digits.gz", hashlib.md5(content).hexdigest(), (f"{address}/one",), size=len(content), seconds=60
        )
        datasets.DATASETS["mnist"] = replace(datasets.DATASETS["mnist"], files=(file,))
        datasets.get("mnist", data_dir=folder)


def notebooks(folder: Path, count: int) -> Path:
    """A checkout whose notebooks record a claim, count themselves and take a while."""
    from test_cluster import RECORDS
    from test_reproduce import write_notebook

    root = folder / "checkout"
    if not root.is_dir():
        (root / "notebooks").mkdir(parents=True)
        for number in range(1, count + 1):
            name = f"{number:02d}_records"
            told = f"import time\ntime.sleep(0.3)\nopen({str(folder / 'units')!r}, 'ab', buffering=0).write(b'.')"
            write_notebook(root / "notebooks", name, RECORDS.format(name=name), told)
    return root


def reproduce(folder: Path) -> None:
    from ot_latent.paper.reproduce import reproduce

    if int(reproduce(root=notebooks(folder, 4), jobs=2)):
        sys.exit("a notebook failed")


def sweep(folder: Path) -> None:
    from ot_latent.paper.sweep import sweep

    if int(sweep(["1"], seeds=range(4), root=notebooks(folder, 1), jobs=2)):
        sys.exit("a run failed")


class Kind(NamedTuple):
    """What a process does in a folder, where its results are, and how many units of work a kill may cost."""

    work: Callable[[Path], None]
    results: tuple[str, ...]
    interval: int


#: Training looks at its losses, and keeps states, each ten steps, here of two optimisers; a row of an evaluation has
#: two operations, and each start asks for one chunk of both first; of chunks to decode one is read while one is
#: decoded; a file, and a notebook for each of two workers, is begun again.
KINDS = {
    "train": Kind(train, ("build/checkpoints/*/*.safetensors", "build/training/*/log.jsonl"), 20),
    "fit": Kind(fit, ("map.safetensors", "states/log.jsonl"), 10),
    "evaluate": Kind(evaluate, ("found.txt",), 4),
    "decode": Kind(decode, ("cache/**/*.npy",), 3),
    "download": Kind(download, ("cache/**/digits.gz",), 1),
    "reproduce": Kind(reproduce, ("checkout/figures/results.json", "checkout/figures/RESULTS.md"), 2),
    "sweep": Kind(sweep, ("checkout/build/sweep-quick/sweep.json", "checkout/build/sweep-quick/SWEEP.md"), 2),
}


def begin(kind: str, folder: Path) -> None:
    """What the process does: nothing of it is shared with others but the folder."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    os.environ |= {"XDG_CACHE_HOME": str(folder / "cache"), "OT_LATENT_KILLS": str(folder)}
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    KINDS[kind].work(folder)


@dataclass
class Report:
    """What became of a kind of work: kills by signal, units of work beyond those of an unbroken run, and faults."""

    kills: Counter[str] = field(default_factory=Counter)
    ends: int = 0
    again: int = 0
    most: int = 0
    faults: list[str] = field(default_factory=list)


class Killer:
    """Kills work of one kind again and again, each time in the folder of the time before, until it has ended."""

    def __init__(self, kind: str, folder: Path, seed: int) -> None:
        self.kind, self.folder, self.random = kind, folder, random.Random(f"{kind} {seed}")
        self.report = Report()
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["kills", *LOADED])
        folder.mkdir(parents=True)
        self._start(int).join()  # so that everything is loaded before the time is taken
        start = time.monotonic()
        self._end(folder)
        self.seconds, self.units, self.result = time.monotonic() - start, _units(folder), self._result(folder)
        if not self.result:
            raise AssertionError(f"{kind} left no result: {_log(folder)}")

    def run(self, kills: int) -> Report:
        """Kill so often."""
        while self.report.kills.total() < kills:
            folder = self.folder.with_name(f"{self.folder.name}-{self.report.ends}")
            folder.mkdir()
            before, going = self.report.kills.total(), True
            while going and self.report.kills.total() < kills:
                going = self._killed(folder)
            self._end(folder)
            here = self.report.kills.total() - before
            self._look(folder, here, starts=here + (not going))
            self.report.ends += 1
        return self.report

    def _start(self, *work: Any) -> ForkServerProcess:
        process = self.context.Process(target=work[0], args=work[1:])
        process.start()
        return process

    def _end(self, folder: Path) -> None:
        process = self._start(begin, self.kind, folder)
        process.join()
        if process.exitcode:
            self.report.faults.append(f"{folder}: ended with {process.exitcode}: {_log(folder)}")

    def _killed(self, folder: Path) -> bool:
        """Start and kill; False where it had ended before."""
        process, how = self._start(begin, self.kind, folder), self.random.choice(SIGNALS)
        process.join(self.random.uniform(0, 1.1 * self.seconds))
        if process.is_alive():
            # a terminal sends Ctrl-C to all processes; others kill the one that was started
            send = os.killpg if how is signal.SIGINT else os.kill
            try:
                send(process.pid, how)
            except ProcessLookupError:  # it has not its own group yet
                process.kill()
            process.join(PATIENCE)
        if process.exitcode is None:
            self.report.faults.append(f"{folder}: {how.name} did not end it")
            process.kill()
            process.join()
        end = time.monotonic() + PATIENCE
        while orphans := _started_for(folder):
            if time.monotonic() > end:
                self.report.faults.append(f"{folder}: after {how.name} there still is {orphans}")
                break
            time.sleep(0.1)
        if process.exitcode == 0:
            return False
        self.report.kills[how.name] += 1
        return True

    def _look(self, folder: Path, kills: int, starts: int) -> None:
        """What is there after so many kills, and starts after the first one."""
        again, faults = _units(folder) - self.units, self.report.faults
        self.report.again += max(again, 0)
        self.report.most = max(self.report.most, again)
        if again > starts * KINDS[self.kind].interval:
            faults.append(f"{folder}: {again} units of work were done again after {kills} kills: {_log(folder)}")
        if self._result(folder) != self.result:
            faults.append(f"{folder}: another result after {kills} kills")
        for path in folder.rglob("*"):
            if path.suffix == ".partial" or path.name.startswith((".", "progress-")):
                faults.append(f"{path} was left")
            if path.suffix == ".lock":
                with FileLock(path, timeout=0):
                    pass

    def _result(self, folder: Path) -> dict[str, str]:
        found = (path for pattern in KINDS[self.kind].results for path in sorted(folder.glob(pattern)))
        return {str(path.relative_to(folder)): _hash(path) for path in found}


def _hash(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".jsonl":  # but for the time that it took
        lines = [json.loads(line) for line in content.splitlines()]
        content = json.dumps([{k: v for k, v in line.items() if "seconds" not in k} for line in lines]).encode()
    return hashlib.sha256(content).hexdigest()


def _units(folder: Path) -> int:
    return (folder / "units").stat().st_size if (folder / "units").exists() else 0


def _log(folder: Path) -> str:
    return (folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-2000:]


def _started_for(folder: Path) -> list[str]:
    """Processes that work in this folder started, and theirs."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("OT_LATENT_KILLS") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
        except psutil.Error:
            continue
    return found


def killed(kind: str, kills: int, seed: int, folder: Path) -> Report:
    """Kill work of a kind so often, in folders below this one."""
    return Killer(kind, folder / kind, seed).run(kills)


def main() -> None:
    """Kill them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; default: all")
    parser.add_argument("--kills", type=int, default=100, help="in all; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    kinds, faults = arguments.kinds or list(KINDS), 0
    for number, kind in enumerate(kinds):
        share = arguments.kills // len(kinds) + (number < arguments.kills % len(kinds))
        with tempfile.TemporaryDirectory() as folder:
            report = killed(kind, share, arguments.seed, Path(folder))
        kills = ", ".join(f"{name} {count}" for name, count in sorted(report.kills.items()))
        print(f"{kind:10} {share} kills ({kills}), {report.ends} ends, {report.again} units again, "
              f"{len(report.faults)} faults", flush=True)  # fmt: skip
        for fault in report.faults:
            print(f"  {fault}", flush=True)
        faults += len(report.faults)
    sys.exit(faults > 0)


if __name__ == "__main__":
    import kills  # the processes know this file by its name

    kills.main()
