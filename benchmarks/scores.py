"""Scores: do they agree with well-kept implementations on the same features, at what time and memory?

Peers that are not installed are left out: `pip install torch-fidelity` adds them.
Prints the tables and writes them to benchmarks/scores.md.

    python benchmarks/scores.py               # minutes
    python benchmarks/scores.py --n 1000 --features 64       # a look
"""

import contextlib
import io
import time
import tracemalloc
from functools import partial

import numpy as np
import torch
from _report import fastest, parser, table, write
from scipy import linalg
from scipy.special import softmax

import ot_latent as otl
from ot_latent import scores


def frechet_by_sqrtm(x, y):
    """The formula as first published, by the square root of a matrix that is not symmetric."""
    c1, c2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    cross = np.trace(linalg.sqrtm(c1 @ c2)).real
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross


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
    cases = [("Inception Score", "torch-fidelity", inception_score_by_torch_fidelity, scores.inception_score, (p,))]
    for d, pair in sets.items():
        cases += [
            (f"FID, {d}", "torch-fidelity", frechet_by_torch_fidelity, scores.frechet_distance, pair),
            (f"FID, {d}", "scipy's sqrtm", frechet_by_sqrtm, scores.frechet_distance, pair),
        ]
    for name, peer, theirs, ours, arguments in cases:
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                expected = np.atleast_1d(theirs(*arguments))
            except ImportError:
                rows.append([name, peer, "not installed", "", "", ""])
                continue
            difference = abs(ours(*arguments) - expected).max() / abs(expected).max()
            runs = {"theirs": partial(theirs, *arguments), "ours": partial(ours, *arguments)}
            seconds = fastest(runs, repeats=2)
        times = [f"{seconds['theirs']:.2f}", f"{seconds['ours']:.2f}", f"{seconds['theirs'] / seconds['ours']:.1f}"]
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
    command = parser(__file__, __doc__)
    command.add_argument("--n", type=int, default=5_000)
    command.add_argument("--features", type=int, nargs="+", default=[128, 2048])
    arguments = command.parse_args()
    sections = {
        "Against well-kept implementations": against_peers,
        "The bias of FID": bias,
        "Evaluating operations": evaluating,
    }
    text = f"# Scores\n\nMade by `python benchmarks/scores.py`, {torch.get_num_threads()} threads.\n"
    write(arguments.out, text, sections, arguments.n, arguments.features)


if __name__ == "__main__":
    main()
