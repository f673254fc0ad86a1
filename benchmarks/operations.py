"""Matched operations: time against the raw sum, against scipy and lolatents, and copied slerps.

All candidates of a table run in turn, several times, in one process; the fastest run counts. Prints
the tables and writes them to benchmarks/operations.md.

    python benchmarks/operations.py               # a million points in 100 dimensions, minutes
    python benchmarks/operations.py --n 10000     # a look

`pip install lolatents` adds the comparison with that package.
"""

# ruff: noqa: B023 - functions are timed within the loop that binds their variables

import argparse
import itertools
import math
import pathlib
import time
import tracemalloc

import _peers
import numpy as np
import scipy.stats as st
import torch
from _report import fastest, table, write
from scipy.integrate import quad

import ot_latent as otl

T = 0.3
OUT = pathlib.Path(__file__).with_suffix(".md")
UNIFORM, GAUSSIAN = otl.Uniform(-1, 1), otl.Gaussian(0, 1)


def against_raw(n, d):
    """Time over that of the library's raw interpolation, and of the plain expression."""
    rows = []
    for dtype in (np.float64, np.float32):
        numbers = np.random.default_rng(0).random((2, n, d), dtype=dtype) * 2 - 1
        for kind, z in (("numpy", numbers), ("torch", torch.from_numpy(numbers))):
            times = fastest(
                {
                    "expression": lambda z=z: T * z[0] + (1 - T) * z[1],
                    "raw": lambda z=z: otl.interpolate(z[0], z[1], T),
                    "Gaussian": lambda z=z: otl.interpolate(z[0], z[1], T, prior=GAUSSIAN),
                    "uniform": lambda z=z: otl.interpolate(z[0], z[1], T, prior=UNIFORM),
                }
            )
            shown = [f"{times[name] / times['raw']:.2f}" for name in ("Gaussian", "uniform")]
            plain = [f"{times[name] / times['expression']:.2f}" for name in ("raw", "uniform")]
            rows.append([kind, np.dtype(dtype).name, *shown, *plain])
    header = ["arrays", "dtype", "Gaussian / raw", "uniform / raw"]
    return table([*header, "raw / `t*z1 + (1-t)*z2`", "uniform / `t*z1 + (1-t)*z2`"], rows)


def memory(n, d):
    """Peak of what a call allocates, the result included, in arrays of the result's size."""
    rows = []
    laws = {"Gaussian": GAUSSIAN, "uniform": UNIFORM, "Laplace": otl.ScipyPrior(st.laplace())}
    z1, z2 = UNIFORM.sample((2, n, d), rng=0)
    for name, prior in laws.items():
        otl.interpolate(z1[:2], z2[:2], T, prior=prior)  # tabulates
        tracemalloc.start()
        result = otl.interpolate(z1, z2, T, prior=prior)
        peak = tracemalloc.get_traced_memory()[1] / result.nbytes
        tracemalloc.stop()
        rows.append([name, f"{peak:.2f}"])
    return table(["prior, numpy", "peak / result"], rows)


def against_scipy(n, d):
    """`ppf(F(y))` with laws of scipy, F the law of the midpoint, against a table of the map.

    Scipy has F for the gamma law; elsewhere at equal accuracy (1e-9) it is an integral of the prior's
    cdf and pdf for each number, by `scipy.integrate.quad`. In the last two columns the prior's own
    cdf stands in for F: a wrong result, and the least that `ppf(cdf(y))` could cost.
    """
    laws = {
        "gamma(2)": (st.gamma(2), st.gamma(4, scale=0.5).cdf),
        "beta(1/2, 1/2)": (st.beta(0.5, 0.5), None),
        "t(3)": (st.t(3), None),
        "Laplace": (st.laplace(), None),
        "truncated normal": (st.truncnorm(-1, 2), None),
        "skew normal": (st.skewnorm(3), None),
    }
    rows = []
    for name, (law, cdf) in laws.items():
        start = time.perf_counter()
        prior = otl.ScipyPrior(law)
        tabulated = otl.monotone_map(prior.combine([0.5, 0.5]), prior)
        setup = time.perf_counter() - start
        z1, z2 = prior.sample((2, max(n // 10, 1), d), rng=0)  # times are for one number
        few = max(n // 100, 1)
        part = 0.5 * (z1[:few] + z2[:few])
        exact = part if cdf else part.ravel()[: max(2, min(20, n // 1000))]
        midpoint = cdf or midpoint_by_quadrature(law)
        times = fastest(
            {
                "scipy": lambda: law.ppf(midpoint(exact)),
                "least": lambda: law.ppf(law.cdf(part)),
                "ours": lambda: otl.interpolate(z1, z2, 0.5, prior=prior),
            },
            repeats=2,
        )
        sizes = {"scipy": exact.size, "least": part.size, "ours": z1.size}
        ns = {key: seconds / sizes[key] * 1e9 for key, seconds in times.items()}
        by = ["its law" if cdf else "quadrature", f"{ns['scipy']:,.0f}", f"{ns['ours']:.1f}"]
        by += [f"{ns['scipy'] / ns['ours']:,.0f}", f"{setup:.2f}", f"{tabulated.table.missing:.3f}"]
        rows.append([name, *by, f"{ns['least']:.0f}", f"{ns['least'] / ns['ours']:.0f}"])
    header = ["prior", "scipy's F", "scipy, ns a number", "ours, ns", "ratio", "tabulation, s"]
    header += ["numbers beside the table", "stand-in, ns", "stand-in / ours"]
    return table(header, rows)


def midpoint_by_quadrature(law):
    """The cdf of the mean of two: ∫ F(2y - z) f(z) dz, number by number, where f does not vanish."""
    low, high = law.support()
    far = 1e-12
    low, high = max(low, law.ppf(far)), min(high, law.isf(far))

    def cdf(y):
        inner = {low, high, law.median(), 2 * y - low, 2 * y - high, 2 * y - law.median()}
        ends = sorted(end for end in inner if low <= end <= high)
        return sum(
            quad(lambda z: law.cdf(2 * y - z) * law.pdf(z), *pair, epsabs=1e-10, epsrel=0)[0]
            for pair in itertools.pairwise(ends)
        )

    return lambda places: np.clip([cdf(y) for y in places], 0, 1)


def against_lolatents(n, d):
    """Linear combinations through a Gaussian copula: time, and how far points are moved.

    The last column takes our raw interpolation for the matched one: no matched operation, which adds
    something to the raw one, is faster than theirs by more.
    """
    if not _peers.lol_iid:
        return "*Left out: `pip install lolatents` adds it.*\n"
    n = max(1, n // 10)
    law, rows = st.uniform(-1, 2), []
    z1, z2 = zs = UNIFORM.sample((2, n, d), rng=0)
    for t in (0.5, 0.3):

        def theirs(t=t):
            return _peers.through_copula(zs, [t, 1 - t], law.cdf, law.ppf)

        def ours(t=t):
            return otl.interpolate(z1, z2, t, prior=UNIFORM)

        def raw(t=t):
            return otl.interpolate(z1, z2, t)

        times = fastest({"lolatents": theirs, "ours": ours, "raw": raw}, repeats=2)
        T = otl.monotone_map(UNIFORM.combine([t, 1 - t]), UNIFORM)
        moved = np.abs(theirs() - otl.interpolate(z1, z2, t))
        shown = []
        for p in (1, 2):
            margin = 1.96 * (moved**p).std() / math.sqrt(moved.size)
            shown += [f"{T.cost(p):.5f}", f"{(moved**p).mean():.5f} ± {margin:.5f}"]
        ratios = [f"{times['lolatents'] / times[name]:.0f}" for name in ("ours", "raw")]
        rows.append([t, *shown, *ratios])

    header = ["t", "E\\|ỹ - y\\|: ours, exact", "lolatents", "E\\|ỹ - y\\|²: ours, exact", "lolatents"]
    header += ["time: theirs / ours", "theirs / raw"]
    return f"{n:,} points of the uniform prior.\n\n" + table(header, rows)


def slerp_one_angle(z1, z2, t):
    """A copy that takes one angle for the whole batch."""
    u, v = z1 / z1.norm(), z2 / z2.norm()
    omega = torch.acos((u * v).sum())
    return (torch.sin(t * omega) * z1 + torch.sin((1 - t) * omega) * z2) / torch.sin(omega)


def slerp_reversed(z1, z2, t):
    """A copy that swaps the ends where points are nearly parallel."""
    u, v = z1 / z1.norm(dim=-1, keepdim=True), z2 / z2.norm(dim=-1, keepdim=True)
    dot = (u * v).sum(-1, keepdim=True)
    omega = torch.acos(dot.clip(-1, 1))
    circle = (torch.sin(t * omega) * z1 + torch.sin((1 - t) * omega) * z2) / torch.sin(omega)
    return torch.where(dot.abs() > 0.9995, (1 - t) * z1 + t * z2, circle)


def slerp_by_numpy(z1, z2, t):
    """A copy that goes through numpy, and leaves gradients behind."""
    return torch.from_numpy(otl.slerp(z1.detach().numpy(), z2.detach().numpy(), t))


def copied_slerps(n, d):
    """Largest error on single-precision batches, some of them nearly parallel, and gradients."""
    n = min(n, 20_000)
    far = torch.randn(2, n, d, generator=torch.Generator().manual_seed(0))
    batches = {"independent": far, "nearly parallel": torch.stack([far[0], far[0] + 1e-3 * far[1]])}
    exact = {name: otl.slerp(*z.double(), 0.25) for name, z in batches.items()}
    rows, copies = (
        [],
        {
            "`otl.slerp`": otl.slerp,
            "one angle a batch": slerp_one_angle,
            "ends reversed": slerp_reversed,
            "through numpy": slerp_by_numpy,
        },
    )
    times = fastest({name: lambda f=f: f(*far, 0.25) for name, f in copies.items()})
    for name, f in copies.items():
        errors = [f"{float((f(*z, 0.25) - exact[batch]).abs().max()):.1e}" for batch, z in batches.items()]
        flows = f(far[0].clone().requires_grad_(), far[1], 0.25).requires_grad
        ratio = times[name] / times["`otl.slerp`"]
        rows.append([name, *errors, "yes" if flows else "no", f"{ratio:.2f}"])
    header = ["slerp, t = 0.25", "error, independent", "error, nearly parallel", "gradients", "time"]
    return table(header, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000, help="points (default: %(default)s)")
    parser.add_argument("--d", type=int, default=100, help="dimensions (default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=OUT, help="default: %(default)s")
    arguments = parser.parse_args()
    n, d = arguments.n, arguments.d
    sections = {
        "Against the raw sum": against_raw,
        "Memory": memory,
        "Any other prior, against scipy": against_scipy,
        "Against lolatents": against_lolatents,
        "Copied slerps": copied_slerps,
    }
    threads = torch.get_num_threads()
    text = f"# Operations: {n:,} points in {d} dimensions, {threads} threads of torch\n\n"
    text += "Made by `python benchmarks/operations.py`. Times are ratios within one run.\n"
    write(arguments.out, text, sections, n, d)


if __name__ == "__main__":
    main()
