"""AE-OT on MNIST: minibatches of Algorithm 1 against the semi-discrete map, by the images that they give.

Takes the shipped auto-encoder, and of the potentials those that are shipped; fits Algorithm 1 with other
batches. Prints the table and writes it to benchmarks/mnist_aeot.md.

    python benchmarks/mnist_aeot.py                                # a quarter of an hour
    python benchmarks/mnist_aeot.py --fits 256:100 --n 2000        # a look: batch:iterations
"""

import argparse

import numpy as np
import torch
from _report import parser, table, write

import ot_latent as otl
from ot_latent import brenier, datasets, scores
from ot_latent.models import checkpoints


def potentials(codes, fits):
    """Batch, iterations and D: the shipped ones, and between them those that are fitted here."""
    yield shipped(64, "mnist-aeot")
    for fit in fits:
        batch, iterations = map(int, fit.split(":"))
        latent = otl.LatentTransport(batch=batch, iterations=iterations).fit(codes)
        yield batch, iterations, latent.potential_
    yield shipped("semi-discrete", "mnist-aeot-semidiscrete")


def shipped(batch, name):
    card = checkpoints.read_card(checkpoints.shipped(name))
    return batch, card["iterations"], checkpoints.load(name)


def with_interval(value, low, high):
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def images(run):
    """Scores of the decoded images under our digit classifier, with 95 % intervals.

    Both are divided by those of the auto-encoder's reconstructions of test digits: what the decoder
    loses no map can win back. All maps are of the paper's network and take the same noise.
    """
    classifier, rows, best = checkpoints.load("mnist-classifier"), [], None
    real = scores.features(classifier, datasets.to_square(run.digits))
    everything = {"reconstructions": ("-", torch.from_numpy(run.held_out)), **run.clouds}
    for name, (iterations, cloud) in everything.items():
        features = scores.features(classifier, scores.decode(run.ae, cloud))
        p = scores.predictions(classifier, features)
        inception = scores.inception_score(p, splits=1)[0], *scores.inception_interval(p)
        frechet = scores.frechet_distance(features, real), *scores.frechet_interval(features, real)
        best = best or (inception[0], frechet[0])
        ratios = np.array([inception, frechet]) / np.array(best)[:, None]
        cells = f"{inception[0]:.2f}", f"{frechet[0]:.1f}", *(with_interval(*r) for r in ratios)
        rows.append([name, iterations, *cells])
    header = ["batch", "iterations", "Inception Score", "Fréchet distance"]
    return table([*header, "score / best", "distance / best"], rows)


def codes(run):
    """Distances of mapped noise to codes of test digits, with 95 % intervals.

    W2, spread and coverage are divided by those of training codes, the floor of sampling; the median distance to
    the nearest training code by that of codes of test digits: copies would be far below 1.
    """
    clouds = {name: cloud for name, (_, cloud) in run.clouds.items()}
    report = scores.transport_report(clouds, run.codes, run.held_out, min(1_000, run.n // 2))
    rows = [
        [name, f"{found.w2:.2f}", with_interval(*found.ratio), with_interval(*found.spread)]
        + [with_interval(*found.coverage), with_interval(*found.nearest)]
        for name, found in report.items()
    ]
    return table(["batch", "W2", "W2 / floor", "spread", "coverage", "nearest / held-out"], rows)


def main():
    command = parser(__file__, __doc__)
    command.add_argument("--fits", nargs="*", default=["256:5000", "1024:2000"])
    command.add_argument("--n", type=int, default=10_000, help="images (default: %(default)s)")
    arguments = command.parse_args()
    n, ae = arguments.n, checkpoints.load("mnist-ae")
    digits, test_digits = (datasets.mnist(part)[0] for part in ("train", "test"))
    training, held_out = (scores.encode(ae, x) for x in (digits[: 6 * n], test_digits[:n]))
    noise = torch.randn(len(held_out), ae.latent_dim, generator=torch.Generator().manual_seed(1))
    run = argparse.Namespace(n=n, ae=ae, digits=digits[:n], codes=training, held_out=held_out)
    run.clouds = {
        batch: (f"{iterations:,}", brenier.transport(potential, noise))
        for batch, iterations, potential in potentials(training, arguments.fits)
    }
    text = f"# AE-OT on MNIST, codes in 10 dimensions\n\n{n:,} images of each. Made by "
    text += "`python benchmarks/mnist_aeot.py`.\n"
    write(arguments.out, text, {"Images": images, "Codes": codes}, run)


if __name__ == "__main__":
    main()
