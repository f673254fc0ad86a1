"""Scores: do they agree with well-kept implementations on the same features, at what time and memory?

Peers that are not installed are left out: `pip install prdc scikit-learn torch-fidelity` adds them.
Prints the tables and writes them to benchmarks/scores.md.

    python benchmarks/scores.py               # minutes
    python benchmarks/scores.py --n 1000 --features 64       # a look
"""

import argparse
import contextlib
import io
import math
import os
import pathlib
import time
import tracemalloc

import numpy as np
import torch
from _report import table, write
from scipy import linalg
from scipy.special import softmax

import ot_latent as otl
from ot_latent import scores

OUT = pathlib.Path(__file__).with_suffix(".md")


def timed(run):
    """What it returns and the seconds of the faster of two runs; what it prints is dropped."""
    best = math.inf
    for _ in range(2):
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            result = run()
            best = min(best, time.perf_counter() - start)
    return np.atleast_1d(result), best


def frechet_by_sqrtm(x, y):
    """The formula as first published, by the square root of a matrix that is not symmetric."""
    c1, c2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    cross = np.trace(linalg.sqrtm(c1 @ c2)).real
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross


def kernel_distance_by_sklearn(x, y, block):
    from sklearn.metrics.pairwise import polynomial_kernel

    def mean_of_others(a):
        kernel = polynomial_kernel(a, degree=3, coef0=1)
        return (kernel.sum() - np.trace(kernel)) / (block * (block - 1))

    blocks = len(x) // block
    pairs = [(x[i::blocks][:block], y[i::blocks][:block]) for i in range(blocks)]
    cross = [polynomial_kernel(u, v, degree=3, coef0=1).mean() for u, v in pairs]
    values = [mean_of_others(u) + mean_of_others(v) - 2 * c for (u, v), c in zip(pairs, cross, strict=True)]
    return np.mean(values), np.std(values, ddof=1) / math.sqrt(blocks)


def neighbour_scores_by_prdc(x, y):
    from prdc import compute_prdc

    found = compute_prdc(y, x, nearest_k=5)
    return [found[name] for name in ("precision", "recall", "density", "coverage")]


def inception_score_by_torch_fidelity(p):
    from torch_fidelity.metric_isc import isc_features_to_metric

    found = isc_features_to_metric(torch.from_numpy(p).log(), splits=10, shuffle=False)
    return found["inception_score_mean"], found["inception_score_std"]


def frechet_by_torch_fidelity(x, y):
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    statistics = ({"mu": a.mean(0), "sigma": np.cov(a, rowvar=False)} for a in (x, y))
    return fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]


def against_peers(n, features):
    """Largest difference between the numbers of two implementations given the same arrays, relative
    to the largest of them, and seconds. Features are Gaussian."""
    rng, rows = np.random.default_rng(0), []
    p = softmax(3 * rng.standard_normal((n, 1_000)), axis=1)
    sets = {d: (0.9 * rng.standard_normal((n, d)) + 0.05, rng.standard_normal((n, d))) for d in features}
    block = min(1_000, n // 2)
    cases = [("Inception Score", "torch-fidelity", inception_score_by_torch_fidelity, scores.inception_score, (p,))]
    for d, (x, y) in sets.items():
        cases += [
            (f"FID, {d}", "torch-fidelity", frechet_by_torch_fidelity, scores.frechet_distance, (x, y)),
            (f"FID, {d}", "scipy's sqrtm", frechet_by_sqrtm, scores.frechet_distance, (x, y)),
            (f"KID, {d}", "scikit-learn", kernel_distance_by_sklearn, scores.kernel_distance, (x, y, block)),
            (f"precision ... coverage, {d}", "prdc", neighbour_scores_by_prdc, scores.neighbour_scores, (x, y)),
        ]
    for name, peer, theirs, ours, arguments in cases:
        try:
            their_value, their_time = timed(lambda f=theirs, a=arguments: f(*a))
        except ImportError:
            rows.append([name, peer, "not installed", "", "", ""])
            continue
        our_value, our_time = timed(lambda f=ours, a=arguments: f(*a))
        difference = abs(our_value - their_value).max() / abs(their_value).max()
        times = [f"{their_time:.2f}", f"{our_time:.2f}", f"{their_time / our_time:.1f}"]
        rows.append([name, peer, f"{difference:.0e}", *times])
    header = ["score, dimension", "peer", "relative difference", "peer, s", "ours, s", "ratio"]
    return f"{n:,} rows.\n\n" + table(header, rows)


def bias(n, features):
    """FID of samples of the reference's own law, of which the reference has 50,000: the true value is
    0; what is left is the reference's own bias and chance. With the first number of features."""
    rng, rows = np.random.default_rng(0), []
    d = features[0]
    spread = np.linspace(0.1, 2, d)
    reference = scores.FeatureStatistics(d)
    for _ in range(50):
        reference.update(spread * rng.standard_normal((1_000, d)))
    for count in (n, 2 * n, 4 * n):
        if count >= 2 * d * 5:
            found = scores.frechet_bias(spread * rng.standard_normal((count, d)), reference)
            rows.append([f"{count:,}", *(f"{value:.3f}" for value in found)])
    return table(["n", "FID", "bias stated", "FID without it"], rows)


class Flat:
    """A scorer that costs nothing: what remains is our own bookkeeping."""

    name = "flat"

    def __init__(self, classes):
        self.classes = classes

    def features(self, images):
        return images.flatten(1).numpy()

    def probabilities(self, features):
        exponentials = np.exp(features[:, : self.classes])
        return exponentials / exponentials.sum(1, keepdims=True)


def _flat(d):
    """A generator of that many pixels."""
    return lambda z: z[:, :1].sigmoid().expand(-1, d).reshape(-1, 1, 1, d)


def evaluating(n, features):
    """`evaluate_operations` with a generator and a scorer that cost nothing, for n images a row and
    for four times as many: images a second of the bookkeeping, and the peak of what numpy holds.
    There are half as many classes as features."""
    rows, run = [], ["2-point linear", "2-point matched"]
    otl.evaluate_operations(_flat(8), otl.Gaussian(), Flat(4), 200, run, dimension=128)
    for d in features:
        for count in (n, 4 * n):
            tracemalloc.start()
            start = time.perf_counter()
            otl.evaluate_operations(_flat(d), otl.Gaussian(), Flat(d // 2), count, run, dimension=128)
            seconds = time.perf_counter() - start
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            rows.append([d, f"{count:,}", f"{3 * count / seconds:,.0f}", f"{peak / 1e6:.0f}"])
    return table(["features", "n", "images/s", "peak, MB"], rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=5_000)
    parser.add_argument("--features", type=int, nargs="+", default=[128, 2048])
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    arguments = parser.parse_args()
    sections = {
        "Against well-kept implementations": against_peers,
        "The bias of FID": bias,
        "Evaluating operations": evaluating,
    }
    threads, load = torch.get_num_threads(), os.getloadavg()[0]
    text = f"# Scores\n\nMade by `python benchmarks/scores.py`, {threads} threads. "
    text += f"{load:.1f} other processes wanted to run at the start.\n"
    write(arguments.out, text, sections, arguments.n, arguments.features)


if __name__ == "__main__":
    main()
