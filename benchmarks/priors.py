"""Matched operations for any prior: what the first call costs, and the next one.

Each row starts with nothing remembered, on one thread; `raw` is the same operation without a prior.
Prints the table and writes it to benchmarks/priors.md.

    OMP_NUM_THREADS=1 python benchmarks/priors.py           # two minutes
    OMP_NUM_THREADS=1 python benchmarks/priors.py --part 10  # a look, with a tenth of the points and laws
"""

import contextlib
import importlib
import os
import pkgutil
import subprocess
import sys

import numpy as np
import scipy.stats as st
import torch
from _report import parser, processor_seconds, seconds, table, write

import ot_latent as otl
import ot_latent.priors

LAWS = {
    "truncated normal": st.truncnorm(-1, 2),
    "Laplace": st.laplace(),
    "t(3)": st.t(3),
    "gamma(2)": st.gamma(2),
    "logistic": st.logistic(),
    "beta(1/2, 1/2)": st.beta(0.5, 0.5),
}
WEIGHTS = np.array([0.05, 0.08, 0.1, 0.11, 0.12, 0.13, 0.2, 0.21])


def forget():
    """Empty every cache of laws and maps."""
    for module in pkgutil.walk_packages(ot_latent.priors.__path__, "ot_latent.priors."):
        for value in vars(importlib.import_module(module.name)).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def timed(prior, operation, points):
    """Processor seconds of the first call, of the next, and of the raw operation."""
    forget()
    return [processor_seconds(lambda law=law: operation(points, law)) for law in (prior, prior, None)]


def draws(prior, *shape):
    """Points of a prior, by its own quantiles."""
    return prior.ppf(np.random.default_rng(0).uniform(1e-9, 1 - 1e-9, shape))


def measured(part):
    """Processor seconds of the first call and of the next, and the latter over those of the raw operation.

    The least of three times each, in turn, which other work on the machine disturbs least.
    """
    t = np.linspace(0, 1, max(3, 60 // part))[:, None, None]
    path, n = f"path of {len(t)} frames, 16 pairs, d = 120", 2_000 // part
    works = []
    for name, law in LAWS.items():
        z = draws(law, 2, 16, 120)
        works.append((f"{path}: {name}", law, lambda z, p, t=t: otl.interpolate(*z, t, prior=p), z))
    for name, law in LAWS.items():
        weights = WEIGHTS[: max(2, len(WEIGHTS) // part)]
        z = draws(law, len(weights), n, 100)
        what = f"mean of {len(weights)} with different weights: {name}"
        works.append((what, law, lambda z, p, w=weights: otl.combine(z, w, prior=p), z))
    t = np.linspace(0.05, 0.95, 10_000 // part)[:, None]
    for name in ("Laplace", "t(3)", "truncated normal"):
        z = draws(LAWS[name], 2, len(t), 100)
        work = f"{len(t):,} different t: {name}"
        works.append((work, LAWS[name], lambda z, p, t=t: otl.interpolate(*z, t, prior=p), z))
    several = {
        "Laplace scales": [st.laplace(scale=1 + 0.1 * i) for i in range(max(2, 32 // part))],
        "Student laws": [st.t(3 + 0.1 * i) for i in range(max(2, 64 // part))],
    }
    for name, laws in several.items():
        z = np.stack([draws(law, 2, n) for law in laws], axis=-1)
        work = f"a law for each coordinate, midpoint: {len(laws)} {name}"
        works.append((work, laws, lambda z, p: otl.interpolate(*z, 0.5, prior=p), z))
    quantiles = np.sort(np.random.default_rng(0).normal(size=11))
    counts, ends = np.histogram(np.random.default_rng(0).normal(size=1_000), bins=20)
    for name, law in {
        "histogram of 20 bins": st.rv_histogram((counts, ends), density=False),
        "table of 11 quantiles": st.rv_histogram((np.ones(10), quantiles), density=False),
    }.items():
        z = draws(law, 2, n, 100)
        works.append((f"midpoint: {name}", law, lambda z, p: otl.interpolate(*z, 0.5, prior=p), z))
    times = np.min([[timed(*work) for _, *work in works] for _ in range(3)], axis=0)
    rows = [
        [name, f"{first:.2f}", f"{again:.2f}", f"{again / max(raw, 1e-6):.0f}"]
        for (name, *_), (first, again, raw) in zip(works, times, strict=True)
    ]
    return table(["work", "first call, s", "again, s", "again / raw"], rows)


@contextlib.contextmanager
def busy(processes):
    """Other processes that compute all the time."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def two_threads(part):
    """Torch in single precision on two threads, midpoints of the uniform prior: time over that of the plain sum.

    The median of 25 runs of each, in turn; then the same on a busy machine, with another process that computes
    for each core. Of 64 x 512 numbers torch makes work for one thread: there the call itself counts.
    """
    torch.set_num_threads(2)
    prior, rows = otl.Uniform(-1, 1), []
    for others, machine in ((0, "idle"), (os.cpu_count(), "busy")):
        for n, d in ((64, 512), (10_000 // part, 100), (100_000 // part, 100)):
            z1, z2 = prior.sample((2, n, d), rng=0, like=torch.zeros(()))
            candidates = {
                "plain": lambda z1=z1, z2=z2: 0.3 * z1 + 0.7 * z2,
                "raw": lambda z1=z1, z2=z2: otl.interpolate(z1, z2, 0.3),
                "matched": lambda z1=z1, z2=z2: otl.interpolate(z1, z2, 0.3, prior=prior),
            }
            with busy(others):
                times = np.median([[seconds(run) for run in candidates.values()] for _ in range(25)], axis=0)
            row = [machine, f"{n:,} x {d}", f"{times[0] * 1e3:.2f}"]
            rows.append([*row, *(f"{time / times[0]:.1f}" for time in times[1:])])
    return table(["machine", "points", "plain sum, ms", "raw / plain sum", "matched / plain sum"], rows)


def main():
    options = parser(__file__, __doc__)
    options.add_argument("--part", type=int, default=1, help="take one point of so many (default: %(default)s)")
    arguments = options.parse_args()
    text = "# Any prior\n\nMade by `OMP_NUM_THREADS=1 python benchmarks/priors.py`.\n"
    write(arguments.out, text, {"Times": measured, "Uniform, on two threads": two_threads}, arguments.part)


if __name__ == "__main__":
    main()
