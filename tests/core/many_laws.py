"""Random priors, weights and dtypes: does what operations make follow the law that it should?

As a program it tries many and prints what was found: python tests/core/many_laws.py [--cases 2000] [--steps 10000]
"""

import argparse
import collections
import hashlib
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
import torch

import ot_latent as otl

LEVEL = 0.01
DTYPES = [np.float16, np.float32, np.float64, torch.float16, torch.bfloat16, torch.float32, torch.float64]
#: Laws of a coordinate, from a generator of numbers.
LAWS = {
    "Gaussian": lambda rng: otl.Gaussian(rng.normal(), np.exp(rng.normal())),
    "Uniform": lambda rng: otl.Uniform(low := rng.normal(), low + np.exp(rng.normal())),
    "Laplace": lambda rng: otl.ScipyPrior(scipy.stats.laplace(rng.normal(), np.exp(rng.normal()))),
    "logistic": lambda rng: otl.ScipyPrior(scipy.stats.logistic(0, np.exp(rng.normal()))),
    "t": lambda rng: otl.ScipyPrior(scipy.stats.t(rng.integers(3, 9))),
    "beta": lambda rng: otl.ScipyPrior(scipy.stats.beta(*rng.uniform(1, 4, 2))),
    "gamma": lambda rng: otl.ScipyPrior(scipy.stats.gamma(rng.uniform(1, 5))),
    "triangle": lambda rng: otl.ScipyPrior(scipy.stats.triang(rng.uniform(0.1, 0.9))),
}
#: Laws of whole points of d coordinates.
PRIORS = {
    "product": lambda rng, d: [LAWS[name](rng) for name in rng.choice(["Gaussian", "Uniform", "Laplace"], d)],
    "correlated": lambda rng, d: otl.MultivariateGaussian(rng.normal(size=d), _covariance(rng, d)),
    "elliptical": lambda rng, d: otl.Elliptical(otl.Ball(d), rng.normal(size=d), _covariance(rng, d)),
    "sphere": lambda rng, d: otl.Sphere(d, np.exp(rng.normal())),
    "ball": lambda rng, d: otl.Ball(d, np.exp(rng.normal())),
}


def _covariance(rng: np.random.Generator, d: int) -> np.ndarray:
    root = rng.normal(size=(d, d)) + 2 * np.eye(d)
    return root @ root.T


class Case(NamedTuple):
    """A prior, weights, and the kind of numbers that points are."""

    kind: str
    prior: Any
    d: int
    weights: np.ndarray
    dtype: Any

    def __str__(self) -> str:
        return f"{self.kind}, {self.prior!r}, d={self.d}, weights {self.weights}, {self.dtype}"


def case(number: int) -> Case:
    """The case of this number."""
    rng = np.random.default_rng((22, number))
    kind = str(rng.choice([*LAWS, *PRIORS]))
    d = int(rng.choice([2, 3, 8, 30]))
    prior = LAWS[kind](rng) if kind in LAWS else PRIORS[kind](rng, d)
    k = int(rng.integers(2, 5))
    weights = rng.normal(size=k) if rng.random() < 0.5 else rng.dirichlet(np.ones(k))
    return Case(kind, prior, d, weights, DTYPES[rng.integers(len(DTYPES))])


def points(made: Case, shape: tuple[int, ...], seed: int) -> Any:
    """Draws of the prior, of the case's dtype."""
    law = otl.Product(made.prior) if isinstance(made.prior, list) else made.prior
    if isinstance(made.dtype, torch.dtype):
        return law.sample(shape, rng=seed, like=torch.zeros(0, dtype=made.dtype))
    return law.sample(shape, rng=seed, like=np.zeros(0, made.dtype))


def left_its_prior(number: int, n: int = 400) -> otl.checks.PriorCheck:
    """What `check_prior` finds of matched combinations of n points."""
    made = case(number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zs = points(made, (len(made.weights), n, made.d), number)
        return otl.check_prior(otl.combine(zs, made.weights, prior=made.prior), made.prior, LEVEL, rng=number)


def walked(law: str, steps: int, dtype: Any = np.float64, n: int = 200, d: int = 3) -> otl.checks.PriorCheck:
    """What `check_prior` finds of the last points of walks."""
    made = Case(law, LAWS[law](np.random.default_rng(0)), d, np.ones(1), dtype)
    ends, rng = points(made, (n, d), 1), 2
    for first in range(0, steps, 500):  # a walk goes on where the one before ended, for memory's sake
        ends = otl.random_walk(ends, min(500, steps - first), 0.3, prior=made.prior, rng=rng + first)[-1]
    return otl.check_prior(ends, made.prior, LEVEL, rng=3)


def bits() -> str:
    """Hash of what operations and laws give, which does not depend on the number of threads."""
    digest = hashlib.sha256()
    for number, dtype in enumerate((np.float32, np.float64, torch.float32, torch.float64)):
        for law in ("Gaussian", "Uniform", "Laplace"):
            made = Case(law, LAWS[law](np.random.default_rng(number)), 50, np.array([0.3, 0.6]), dtype)
            zs = points(made, (2, 11_000, 50), number)
            found = otl.combine(zs, made.weights, prior=made.prior)
            digest.update(np.asarray(found).tobytes())
        digest.update(np.asarray(otl.slerp(zs[0], zs[1], 0.3)).tobytes())
    return digest.hexdigest()


def bits_of_threads(count: int) -> str:
    """`bits` of a process of so many threads."""
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(count))
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), str(Path(otl.__file__).parents[1])])
    code = "import many_laws, torch; print(torch.get_num_threads(), many_laws.bits())"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    threads, digest = found.stdout.split()
    if int(threads) != count:
        raise AssertionError(f"{threads} threads")
    return digest


def most(cases: int) -> int:
    """False rejections that come with a probability below 1e-4 where the level is kept."""
    return int(scipy.stats.binom.isf(1e-4, cases, LEVEL))


def main() -> None:
    """Try them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--steps", type=int, default=10_000)
    arguments = parser.parse_args()
    failed = collections.Counter()
    for number in range(arguments.cases):
        found = left_its_prior(number)
        if not found.ok:
            failed[case(number).kind] += 1
            print(number, case(number), found, flush=True)
    print(f"{failed.total()} of {arguments.cases} rejected at level {LEVEL}, at most {most(arguments.cases)} may be: "
          f"{dict(failed)}", flush=True)  # fmt: skip
    for law in LAWS:
        for dtype in (np.float64, np.float32):
            print(f"after {arguments.steps:,} steps of {law}, {dtype.__name__}: {walked(law, arguments.steps, dtype)}")
    print("one thread and two give", "the same bits" if bits_of_threads(1) == bits_of_threads(2) else "OTHER BITS")


if __name__ == "__main__":
    main()
