"""Midpoints on every shipped generator: the raw mean, its norm restored, SLERP, lolatents (LOL) and matched.

Is the law kept, how far are points moved, what happens to scores, and what does it cost? Prints the
tables and writes them to benchmarks/generators.md.

    python benchmarks/generators.py             # some minutes on one core
    python benchmarks/generators.py --n 200     # a look

`pip install lolatents` adds the rows of that package.
"""

from functools import partial

import _peers
import numpy as np
import scipy.stats as st
from _report import fastest, parser, table, write

from ot_latent.paper import table2
from ot_latent.scores import OPERATIONS, Operation


def with_norm(zs, prior):
    """The mean, rescaled to the mean of the two norms."""
    return _peers.norm_restored(RAW.apply(zs, prior), zs)


def copula(zs, prior):
    """The mean through lolatents' Gaussian copula."""
    return _peers.through_copula(zs, [0.5, 0.5], prior.cdf, prior.icdf)


RAW = OPERATIONS["2-point linear"]
METHODS = {
    "raw mean": RAW,
    "norm restored": Operation(2, with_norm),
    "SLERP": OPERATIONS["2-point SLERP"],
    **({"LOL (lolatents)": Operation(2, copula)} if _peers.lol_iid else {}),
    "matched": OPERATIONS["2-point matched"],
}


def kept(z, prior):
    """KS distances with their p: of the first coordinate from the prior, of norms from those of new samples.

    One coordinate, because those of one point depend on each other under operations that look at norms.
    """
    norms = (np.linalg.norm(x, axis=-1) for x in (z, prior.sample((50_000, z.shape[1]), rng=1)))
    found = st.kstest(z[:, 0], prior.cdf), st.ks_2samp(*norms)
    return [f"{test.statistic:.3f} ({test.pvalue:.3f})" for test in found]


def on_generators(n, points):
    """Of each generator, n midpoints: Kolmogorov-Smirnov distances (with p) of a coordinate and of the norm from
    the prior's, of more midpoints; the squared change from the raw mean per coordinate over the prior's
    variance; scores against random samples; and time over that of the raw mean."""
    rows = []
    for setting in table2.shipped():
        prior, d = (getattr(table2.generators.load(setting.name), name) for name in ("prior", "latent_dim"))
        found = table2.evaluate(setting, n, operations=METHODS)
        zs = prior.sample((2, points, d), rng=0)
        raw = RAW.apply(zs, prior)
        times = fastest({name: partial(method.apply, zs, prior) for name, method in METHODS.items()})
        for name, method in METHODS.items():
            z, row = method.apply(zs, prior), found[name]
            low, high = row.change.interval
            rows.append(
                [
                    setting.title,
                    name,
                    *kept(z, prior),
                    f"{np.mean((z - raw) ** 2) / prior.var:.4f}",
                    f"{row.inception:.2f}",
                    f"{row.change.relative:+.1%} ({low:+.1%} to {high:+.1%})",
                    "-" if row.frechet is None else f"{row.frechet:.2f}",
                    f"{times[name] / times['raw mean']:.1f}",
                ]
            )
    header = ["generator", "midpoint", "KS, coordinate", "KS, norm", "change²", "Inception Score"]
    return f"{n:,} images a row, {points:,} midpoints.\n\n" + table(
        [*header, "against random (95 %)", "FID", "time / raw"], rows
    )


def main():
    command = parser(__file__, __doc__)
    command.add_argument("--n", type=int, default=1_000, help="images a row (default: %(default)s)")
    command.add_argument("--points", type=int, default=20_000, help="midpoints for the rest (default: %(default)s)")
    arguments = command.parse_args()
    text = "# Midpoints on every shipped generator\n\nMade by `python benchmarks/generators.py`.\n"
    write(arguments.out, text, {"Law, change, scores, time": on_generators}, arguments.n, arguments.points)


if __name__ == "__main__":
    main()
