"""Algorithm 1 of Liu 2018: what an iteration costs beside the network's own step, and what it learns.

All candidates of a table run in turn, several times, in one process; the fastest run counts. Prints
the tables and writes them to benchmarks/minibatch.md.

    python benchmarks/minibatch.py                  # minutes
    python benchmarks/minibatch.py --quick          # a look
"""

import argparse
import itertools
import math
import threading
from contextlib import contextmanager
from functools import partial

import numpy as np
import psutil
import scipy.sparse as sp
import torch
from _report import fastest, parser, seconds, table, write
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist

import ot_latent as otl
from ot_latent import brenier, latent_transport
from ot_latent._loop import ahead
from ot_latent.brenier import Potential
from ot_latent.datasets import eight_gaussians

DIMENSION = 10  # of the codes of digits in the notebooks


def clouds(m, seed=0):
    """Noise, and codes in ten clusters, as those of digits."""
    rng = np.random.default_rng(seed)
    noise, spread = rng.standard_normal((2, m, DIMENSION))
    return noise, np.eye(DIMENSION)[rng.integers(DIMENSION, size=m)] * 2 + spread / 2


def by_highs(x, y):
    """Potential and matching by the dual simplex method for general linear programmes, as in the paper."""
    m = len(x)
    eye, ones = sp.eye(m, format="csr"), np.ones((1, m))
    constraints = sp.vstack([sp.kron(eye, ones), sp.kron(ones, eye)]).tocsr()
    cost, masses = cdist(x, y, "sqeuclidean") / 2, np.full(2 * m, 1 / m)
    solved = linprog(cost.ravel(), A_eq=constraints, b_eq=masses, method="highs-ds")
    return -solved.eqlin.marginals[:m], solved.x.reshape(m, m).argmax(1)


def by_assignment(x, y):
    """The matching alone: scipy's solver gives no potential, so that there is nothing to fit D to."""
    return np.zeros(len(x)), linear_sum_assignment(cdist(x, y, "sqeuclidean"))[1]


def by_pot(x, y):
    dual = otl.solve_kantorovich(x, y)
    return dual.phi, dual.matching


def problem(solve, m, step):
    """What a step of Algorithm 1 needs, as `LatentTransport` draws it."""
    noise, target = clouds(m, step)
    phi, matching = solve(noise, target)
    return [torch.from_numpy(part).float() for part in (noise, phi, target[matching])]


def train(problems, potential, optimizer):
    """Steps of the network on these problems."""
    for points, phi, matched in problems:
        loss = brenier.regression_loss(potential, points, phi, matched, 0.1, up_to_constant=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@contextmanager
def in_line(function, steps):
    yield map(function, steps)


def iterations(settings):
    """Time of an iteration of Algorithm 1 over that of the network's step alone, on solved problems.

    The network is the paper's for images. Solvers are called in line, before the step, or ahead of it, in
    one thread, as `LatentTransport` does. The matching by scipy's `linear_sum_assignment` comes without
    the potential that the algorithm needs.
    """
    rows = []
    for m in settings.batches:
        potential = Potential(DIMENSION)
        optimizer = torch.optim.Adam(potential.parameters(), 1e-4, betas=(0.5, 0.999))
        many = settings.iterations
        solved = [problem(by_pot, m, step) for step in range(many)]

        def run(context, solve, count, m=m, network=(potential, optimizer)):
            with context(partial(problem, solve, m), range(count)) as problems:
                train(problems, *network)

        candidates = {
            "network": partial(train, solved, potential, optimizer),
            "ahead": partial(run, ahead, by_pot, many),
            "POT in line": partial(run, in_line, by_pot, many),
            "linear_sum_assignment in line": partial(run, in_line, by_assignment, many),
        }
        best = {name: least / many for name, least in fastest(candidates, settings.turns).items()}
        best["HiGHS in line"] = seconds(partial(run, in_line, by_highs, 2)) / 2
        network = best.pop("network")
        rows.append([m, f"{1e3 * network:.1f}", *(f"{each / network:.2f}" for each in best.values())])
    return table(["m", "network alone, ms", *best], rows)


def threads(settings):
    """The solver releases Python's lock: two threads solve twice as many problems as one, on two cores."""
    rows = []
    for m in settings.batches:
        x, y = clouds(m)
        count = max(2, 40_000 // m**2)

        def solve(count=count, x=x, y=y):
            for _ in range(count):
                otl.solve_kantorovich(x, y)

        def together(number, solve=solve):
            started = [threading.Thread(target=solve) for _ in range(number)]
            for thread in started:
                thread.start()
            for thread in started:
                thread.join()

        best = fastest({number: partial(together, number) for number in (1, 2)}, settings.turns)
        rows.append([m, f"{1e3 * best[1] / count:.2f}", f"{2 * best[1] / best[2]:.2f}"])
    return table(["m", "one solve, ms", "problems of two threads / of one"], rows)


def long_run(settings):
    """`LatentTransport.fit` with the paper's settings, m = 64, and the memory of its process."""
    codes = clouds(10_000)[1]
    process, seen = psutil.Process(), []
    otl.LatentTransport(iterations=settings.long // 10).fit(codes)  # what libraries allocate once
    solve, calls = latent_transport.solve_kantorovich, itertools.count()

    def watched(*arrays):
        if next(calls) % max(1, settings.long // 5) == 0:
            seen.append(process.memory_info().rss / 2**20)
        return solve(*arrays)

    latent_transport.solve_kantorovich = watched
    each = seconds(lambda: otl.LatentTransport(iterations=settings.long).fit(codes)) / settings.long
    latent_transport.solve_kantorovich = solve
    seen.append(process.memory_info().rss / 2**20)
    cells = f"{settings.long:,}", f"{1e3 * each:.1f}", f"{200_000 * each / 60:.0f}"
    memory = f"{seen[0]:.0f}", f"{max(seen):.0f}", f"{seen[-1]:.0f}"
    header = ["iterations", "s per 1,000", "minutes for 200,000"]
    return table([*header, "MiB at the start", "at most", "at the end"], [[*cells, *memory]])


def gaussian(seed):
    """Codes of a Gaussian, fresh ones, and the optimal map to their law."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))[0]
    matrix = axes * np.linspace(0.25, 2, DIMENSION) @ axes.T
    codes, fresh = (rng.standard_normal((n, DIMENSION)) @ matrix for n in (20_000, 2_000))
    return codes, fresh, matrix


def eight(seed):
    rng = np.random.default_rng(seed)
    return eight_gaussians(20_000, rng), eight_gaussians(2_000, rng), None


def known_potential(matrix, m, steps, up_to_constant):
    """A network fitted to exact potentials z (A - I) z / 2, each batch with a constant of its own."""
    potential = Potential(DIMENSION, layers=4, width=128)
    optimizer = torch.optim.Adam(potential.parameters(), 1e-3, betas=(0.5, 0.999))
    slope = torch.from_numpy(matrix - np.eye(DIMENSION)).float()
    for _ in range(steps):
        points = torch.randn(m, DIMENSION)
        phi = ((points @ slope) * points).sum(1) / 2
        loss = brenier.regression_loss(potential, points, phi - phi.mean(), points, 0, up_to_constant)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return potential


def errors(name, m, up_to_constant, seed, steps, points):
    """W2 to fresh codes, or the root mean square error of the map relative to the map's, if known."""
    torch.manual_seed(seed)
    codes, fresh, matrix = {"eight Gaussians": eight}.get(name, gaussian)(seed)
    codes, fresh = codes[:points], fresh[: points // 10]
    noise = torch.randn(len(fresh), codes.shape[1])
    if name == "Gaussian, exact potentials":
        image = brenier.transport(known_potential(matrix, m, steps, up_to_constant), noise)
    else:
        fitted = otl.LatentTransport(
            batch=m,
            iterations=steps,
            learning_rate=1e-3,
            up_to_constant=up_to_constant,
            layers=4,
            width=128,
            random_state=seed,
        ).fit(codes)
        image = fitted.transform(noise)
    image = image.numpy().astype(float)
    if matrix is None:
        return otl.solve_kantorovich(image, fresh).w2
    exact = noise.numpy() @ matrix
    return float(np.sqrt(((image - exact) ** 2).sum() / (exact**2).sum()))


def constants(settings):
    """D fitted to the potentials of each batch up to a constant, against eq. (18) as printed.

    The same seeds, batches and number of iterations. As printed, D is drawn to 1 - 1/m of the potential.
    Eight Gaussians: W2 of images to fresh codes. Gaussian to Gaussian in ten dimensions: error of the map,
    relative. With exact potentials in place of those of batches nothing but the constant differs between
    batches. The difference is the mean over seeds, with its standard error; below 0 the fit up to a constant
    is better.
    """
    rows = []
    names = ("eight Gaussians", "Gaussian to Gaussian", "Gaussian, exact potentials")
    for name, m in itertools.product(names, (8, 64)):
        printed, free = (
            np.array([errors(name, m, free, seed, settings.steps, settings.points) for seed in range(settings.seeds)])
            for free in (False, True)
        )
        change = free - printed
        deviation = change.std(ddof=1) / math.sqrt(settings.seeds)
        means = f"{printed.mean():.3f}", f"{free.mean():.3f}"
        rows.append([name, m, *means, f"{change.mean():+.3f} ± {deviation:.3f}"])
        print(rows[-1], flush=True)
    return table(["codes", "m", "as printed", "up to a constant", "difference"], rows)


def main():
    command = parser(__file__, __doc__)
    command.add_argument("--quick", action="store_true", help="tiny sizes")
    arguments = command.parse_args()
    full = {"batches": (64, 256), "iterations": 10, "turns": 20, "long": 5_000, "points": 20_000}
    tiny = {"batches": (8, 16), "iterations": 2, "turns": 1, "long": 10, "points": 1_000}
    settings = argparse.Namespace(
        **(tiny if arguments.quick else full), steps=5 if arguments.quick else 1_000, seeds=2 if arguments.quick else 4
    )
    sections = {
        "An iteration against the network's step": iterations,
        "Two threads": threads,
        "A long run": long_run,
        "The constant of each batch": constants,
    }
    count = torch.get_num_threads()
    text = f"# Algorithm 1 with minibatches, codes in {DIMENSION} dimensions, {count} threads of torch\n\n"
    text += "Made by `python benchmarks/minibatch.py`.\n"
    write(arguments.out, text, sections, settings)


if __name__ == "__main__":
    main()
