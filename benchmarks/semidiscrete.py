"""Semi-discrete transport to MNIST's and other codes: time, memory, and OTT-JAX on the same problem.

Prints the tables and writes them to benchmarks/semidiscrete.md, row by row.

    python benchmarks/semidiscrete.py --ott-python VENV/bin/python   # with jax and ott-jax in VENV
    python benchmarks/semidiscrete.py --sizes 500:0.05:10            # a look, without MNIST

A size is N:tolerance for N codes of MNIST, or N:tolerance:d for normal numbers in d dimensions. The peer gets
the centred and scaled codes, the schedule of steps that ours has (in its units) and the same with steps ten
times as long, and a batch of 2048. It stops where its own estimate, made every 64 steps, says that it has the
mass error that ours was found to have, or after `--patience` times the time of ours: > says that it was not
there. All results are judged by the same unbiased estimate on the same fresh noise.
"""

import argparse
import functools
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
from _report import fastest, machine, parser, seconds, table

JUDGE = 200_000  # noise points of the final judgement
STEPS = 0.1, 1.0  # the peer's first step over the number of codes; 0.1 is ours for the cost without 1/2
ALONE = ["200000:0.3:10", "2000:0.005:512"]
VERSUS = ["2000:0.02:2", "2000:0.02:32", "2000:0.02:512", "10000:0.005", "10000:0.3:512"]
VERSUS += ["60000:0.2", "60000:0.3:2"]
EVERY, MOST = 64, 40_000  # steps between two of the peer's estimates, and of all


@functools.cache
def mnist_codes():
    from ot_latent import datasets, scores
    from ot_latent.models import checkpoints

    return scores.encode(checkpoints.load("mnist-ae"), datasets.mnist("train")[0])


def codes_of(size):
    """A name, codes and the tolerance of N:tolerance, or of N:tolerance:d."""
    n, tolerance, *d = size.split(":")
    rng = np.random.default_rng(0)
    if d:
        codes = rng.standard_normal((int(n), int(d[0])), dtype=np.float32)
        return f"normal, d = {d[0]}", codes, float(tolerance)
    codes = mnist_codes()
    codes = codes[rng.permutation(len(codes))[: int(n)]]
    return f"MNIST, d = {codes.shape[1]}", codes, float(tolerance)


def peak_memory():
    """Megabytes that this process held at most; getrusage would count those of its parent before it."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1e3


def ours(path, tolerance):
    """One fit in a process of its own, so that its peak of memory is its own."""
    from ot_latent import SemiDiscreteOT

    codes = np.load(path)
    before = peak_memory()
    ot = SemiDiscreteOT(tolerance=tolerance)
    took = seconds(lambda: ot.fit(codes))
    np.savez(
        f"{path}.ours.npz",
        heights=ot.heights,
        seconds=took,
        peak=peak_memory(),
        before=before,
        steps=ot.steps,
        converged=ot.converged,
        high=ot.error.high,
    )


def peer(path, wanted, most, step):
    """OTT-JAX in a process of its own, until it has the error or its seconds are over; compiled before they start."""
    import jax
    import jax.numpy as jnp
    import optax
    from ott.geometry import costs
    from ott.geometry import semidiscrete_pointcloud as pointcloud
    from ott.problems.linear import semidiscrete_linear_problem as problem
    from ott.solvers.linear import semidiscrete

    codes = np.load(path)
    centered = codes - codes.mean(0)
    scale = np.sqrt((centered**2).mean())
    geometry = pointcloud.SemidiscretePointCloud(
        jax.random.normal, centered / scale, epsilon=0.0, cost_fn=costs.SqEuclidean()
    )
    size = step * len(codes)
    optimizer = optax.sgd(lambda step: size / (1 + step / 100))
    settings = {"batch_size": 2048, "error_eval_every": EVERY, "error_num_repeats": 32}
    solver = semidiscrete.SemidiscreteSolver(num_iterations=MOST, optimizer=optimizer, **settings)
    task, start = problem.SemidiscreteLinearProblem(geometry), jnp.zeros(len(codes))
    nothing, estimates = jnp.full(MOST, jnp.inf), jnp.full(MOST // EVERY + 1, jnp.inf)
    fields = [jnp.array(0), jnp.array(0.0), start, start, optimizer.init(start), nothing, nothing, estimates]
    state, key = semidiscrete.SemidiscreteState(*fields), jax.random.key(0)

    def steps(state, task):
        def one(_, state, last=False):
            return solver.step(
                jax.random.fold_in(key, state.it), state, task, compute_error=last, rng_error=jax.random.key(1)
            )

        return one(0, jax.lax.fori_loop(1, EVERY, one, state), last=True)

    run, there = jax.jit(steps).lower(state, task).compile(), False
    started = time.perf_counter()
    while not there and time.perf_counter() - started < most and state.it < MOST:
        state = run(state, task)
        there = bool(state.errors[(state.it - 1) // EVERY] <= wanted)
    took, g = time.perf_counter() - started, np.asarray(state.g_ema, dtype=float)
    heights = scale * (g / 2 - ((centered / scale) ** 2).sum(1) / 2)
    np.savez(f"{path}.peer.npz", heights=heights, seconds=took, steps=int(state.it), converged=there)


def judged(codes, heights, rng=1):
    """Mass error and dual value on the same fresh noise for all."""
    import torch

    import ot_latent as otl
    from ot_latent.laguerre import SemiDual, estimate_mass_error

    masses = torch.full((len(codes),), 1 / len(codes), dtype=torch.float64)
    dual = SemiDual(torch.from_numpy(codes), masses, otl.Gaussian(), rng)
    dual.set_heights(torch.from_numpy(heights) / dual.scale)
    counts, value = dual.value(JUDGE, dual.seeded("judge"))
    return estimate_mass_error(counts, masses), value


def iteration(codes, repeats=5):
    """Microseconds a noise point: one step's assignment, and the matrix product alone."""
    import torch

    from ot_latent.laguerre import Cells

    cells = Cells(torch.from_numpy(codes))
    # `one_matrix` holds all scores: half a gigabyte of them at most
    noise = torch.randn(min(2048, 2**27 // len(codes)), codes.shape[1])
    points, none = torch.cat([noise, torch.ones(len(noise), 1)], 1), torch.empty(len(noise), 0, dtype=torch.long)

    def product():
        for rows in points.split(cells.rows):
            for _ in cells._tiles(rows.T.contiguous(), none):
                pass

    def one_matrix():
        (noise @ cells.codes.T + cells.heights).argmax(1)

    candidates = {"product": product, "assignment": lambda: cells.highest(noise), "addmm and argmax": one_matrix}
    return {name: least / len(noise) * 1e6 for name, least in fastest(candidates, repeats).items()}


def in_process(python, name, path, *settings):
    command = [python, __file__, "--worker", name, str(path), *map(str, settings)]
    subprocess.run(command, check=True)
    return dict(np.load(f"{path}.{name}.npz"))


def compared(codes, result, ours):
    """A row of the last table for what a solver found, beside the seconds of ours."""
    error, value = judged(codes, result["heights"])
    ratio = f"{'' if result['converged'] else '> '}{result['seconds'] / ours:.1f}"
    shown = f"{error.value:.4f} ± {error.high - error.value:.4f}"
    return [f"{result['seconds']:.0f}", ratio, int(result["steps"]), shown, f"{value.value:.4f}"]


def report(conditions, fits, speed, versus):
    header = ["codes", "N", "tolerance", "certified", "seconds", "steps", "mass error"]
    text = (
        f"# Semi-discrete transport\n\nMade by `benchmarks/semidiscrete.py`. {conditions} Errors on "
        f"{JUDGE:,} fresh noise points.\n\n## Fits\n\n"
        + table([*header, "MB before", "MB peak", "MB of noise x codes"], fits)
        + "\n## One step, microseconds a noise point\n\n"
        + table(["codes", "N", "product alone", "assignment", "addmm and argmax", "ratio"], speed)
        + "\n## Against OTT-JAX\n\n"
    )
    header = ["codes", "N", "solver", "seconds", "time / ours", "steps", "mass error", "dual value"]
    text += table(header, versus) if versus else "*Left out: `--ott-python` adds it.*\n"
    return text


def main():
    command = parser(__file__, __doc__)
    command.add_argument("--sizes", nargs="+", default=[*ALONE, *VERSUS])
    command.add_argument("--versus", nargs="+", default=VERSUS, help="those of the sizes that the peer gets, too")
    command.add_argument("--ott-python", help="a Python with jax and ott-jax")
    command.add_argument("--patience", type=float, default=4.0, help="the peer's time over ours, at most")
    command.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    arguments = command.parse_args()
    if arguments.worker:
        name, path, *settings = arguments.worker
        return {"ours": ours, "peer": peer}[name](path, *map(float, settings))

    conditions, fits, versus, speed = machine(), [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            kind, codes, tolerance = codes_of(size)
            n, path = f"{len(codes):,}", pathlib.Path(folder) / "codes.npy"
            np.save(path, codes)
            mine = in_process(sys.executable, "ours", path, tolerance)
            error, value = judged(codes, mine["heights"])
            shown = f"{error.value:.4f} ({error.low:.4f} to {error.high:.4f})"
            verdict = "yes" if mine["converged"] else "no"
            fits.append(
                [kind, n, tolerance, verdict, f"{mine['seconds']:.0f}", int(mine["steps"]), shown]
                + [f"{mine['before']:.0f}", f"{mine['peak']:.0f}"]
                + [f"{len(codes) * max(256, len(codes) // 4) * 4 / 1e6:,.0f}"]
            )
            best = iteration(codes)
            speed.append([kind, n, *(f"{best[k]:.1f}" for k in best)])
            speed[-1].append(f"{best['assignment'] / best['product']:.2f}")
            if arguments.ott_python and size in arguments.versus:
                found, most = {"ours": mine}, arguments.patience * mine["seconds"]
                for step in STEPS:
                    name = f"OTT-JAX, first step {step} N"
                    found[name] = in_process(arguments.ott_python, "peer", path, error.value, most, step)
                rows = {name: compared(codes, result, mine["seconds"]) for name, result in found.items()}
                versus += [[kind, n, name, *row] for name, row in rows.items()]
            text = report(conditions, fits, speed, versus)
            arguments.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
