"""Evaluations that are killed, go on, and refuse the state of another."""

import errno
import logging
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster
from evaluation_toys import Killed, evaluate, generator, killed_after

import ot_latent as otl
from ot_latent._storage import StateWarning
from ot_latent.scores import evaluation_state


def test_a_killed_run_goes_on_and_ends_bit_for_bit_the_same(tmp_path):
    whole, path = evaluate(), tmp_path / "state.npz"
    calls = []

    def counted(z):
        calls.append(len(z))
        return generator(z)

    for survived in (9, 25):  # six probes, then six calls a chunk
        with pytest.raises(Killed):
            evaluate(generator=killed_after(survived), resume=path, save_every=0)
    assert evaluate(generator=counted, resume=path, save_every=0) == whole
    # the first run did not end a chunk, the second ended three of eight
    assert calls == [4] * 6 + [50] * 6 * 5
    calls.clear()
    assert evaluate(generator=counted, resume=path) == whole
    assert calls == [4] * 6


def test_a_killed_process_goes_on(tmp_path, root):
    path, script = tmp_path / "state.npz", tmp_path / "mortal.py"
    script.write_text(
        "import os, signal, sys\n"
        f"sys.path[:0] = [{str(root)!r}, {str(root / 'tests' / 'scores')!r}]\n"
        "import evaluation_toys as t\n"
        "mortal = t.killed_after(30)\n"
        "try:\n"
        f"    t.evaluate(generator=mortal, resume={str(path)!r}, save_every=0)\n"
        "except t.Killed:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n",
        encoding="utf-8",
    )
    assert subprocess.run([sys.executable, script], check=False).returncode == -9
    assert [file.name for file in tmp_path.glob("*.npz")] == ["state.npz"]
    done = int(np.load(path)["done"])
    assert 0 < done < 8
    assert evaluate(resume=path) == evaluate()


@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_workers_give_the_same_bits(kind, tmp_path):
    if kind == "processes":
        workers = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    else:
        workers = LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR)
    whole, path = evaluate(), tmp_path / "state.npz"
    with pytest.raises(Killed):
        evaluate(generator=killed_after(25), resume=path, save_every=0)
    with workers, nullcontext(workers) if kind == "processes" else Client(workers) as client:
        executor = client if kind == "processes" else client.get_executor(pure=False)
        assert evaluate(executor=executor) == whole
        assert evaluate(executor=executor, resume=path) == whole


def test_tasks_are_given_out_some_ahead_and_taken_in_order(monkeypatch):
    monkeypatch.setattr("ot_latent.scores.evaluation._AHEAD", 3)
    with ThreadPoolExecutor(2) as executor:
        assert evaluate(executor=executor) == evaluate()


def test_the_state_does_not_grow_with_the_number_of_images(tmp_path):
    sizes = []
    for n in (400, 4_000):
        path = tmp_path / f"{n}.npz"
        evaluate(n=n, batch=100, operations=[], resume=path)
        sizes.append(path.stat().st_size)
    assert sizes[1] < 1.01 * sizes[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 1}, '"seed": 0.*"seed": 1'),
        ({"n": 401}, '"n": 400'),
        ({"operations": ["2-point linear"]}, "operations"),
        ({"generator": lambda z: generator(2 * z)}, "another generator"),
        ({"prior": otl.Gaussian(0, 2)}, "another generator, prior"),
    ],
)
def test_the_state_of_another_run_is_refused(tmp_path, settings, message):
    path = tmp_path / "state.npz"
    evaluate(resume=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)):
        evaluate(resume=path, **settings)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not a state", None])
def test_a_damaged_state_is_refused(tmp_path, content):
    path = tmp_path / "state.npz"
    evaluate(resume=path)
    path.write_bytes(path.read_bytes()[:-500] if content is None else content)
    with pytest.raises(ValueError, match="damaged"):
        evaluate(resume=path)


def test_noise_of_the_generator_is_seeded_and_torch_left_alone(tmp_path):
    def noisy(z):
        return generator(z + 0.5 * torch.randn_like(z))

    alive = killed_after(20)

    def mortal(z):
        alive(z)
        return noisy(z)

    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    whole = evaluate(generator=noisy)
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(Killed):
        evaluate(generator=mortal, resume=tmp_path / "state.npz", save_every=0)
    torch.manual_seed(1)
    assert evaluate(generator=noisy, resume=tmp_path / "state.npz") == whole


def test_a_full_disk_costs_the_state_and_not_the_run(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    with pytest.raises(Killed):
        evaluate(generator=killed_after(20), resume=path, save_every=0)
    kept = path.read_bytes()

    def full(path, write):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(evaluation_state, "write_atomically", full)
        with pytest.warns(StateWarning, match="state.npz could not be written: .*No space left.*goes on"):
            assert evaluate(resume=path, save_every=0) == evaluate()
    assert path.read_bytes() == kept
    assert evaluate(resume=path) == evaluate()


def test_what_killed_runs_left_goes_and_nothing_else(tmp_path):
    path = tmp_path / "state.npz"
    others = [".env", ".state.npz", ".state.npz.bak", ".other.npz.abcd1234", "state.npz.abcd1234"]
    for name in [".state.npz.abcd1234", ".state.npz.x_9zzzzz", *others]:
        (tmp_path / name).write_bytes(b"half")
    evaluate(resume=path)
    assert {file.name for file in tmp_path.iterdir()} - {"state.lock"} == {"state.npz", *others}
