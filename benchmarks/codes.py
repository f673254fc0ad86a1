"""Operations on the codes of an auto-encoder: matched to their law, beside what people do now.

Codes of training images are the law; operations take pairs (or more) of held-out ones, and are compared with other
held-out ones. Prints the tables and writes them to benchmarks/codes.md.

    python benchmarks/codes.py                  # all sets: two hours
    python benchmarks/codes.py --sets digits    # half an hour
"""

import math
import warnings
from functools import partial, update_wrapper
from typing import Any, NamedTuple

import _peers
import numpy as np
import ot
import torch
from _report import parser, seconds, table, timed, write

import ot_latent as otl
from ot_latent import brenier, scores
from ot_latent.datasets.image_sets import channels_last, training_images
from ot_latent.models import checkpoints
from ot_latent.own import Plan
from ot_latent.scores import scorers
from ot_latent.semidiscrete import planes
from ot_latent.training import encoded_images
from ot_latent.training.loop import processes, trained

WEIGHTS = {"means of 2": [1 / 2] * 2, "means of 4": [1 / 4] * 4, "means of 16": [1 / 16] * 16, "analogies": [-1, 1, 1]}
WALK = np.linspace(1, 0, 9)
CODES = 10_000  # in all tables but that of their number
REGRESSED, BATCH = 2_000, 512  # steps, and points in each
BLURS = 0.05, 0.01  # of entropic maps, over the mean cost
SOLVED = 2_000  # points between which they are found


#: Of an auto-encoder of digits that is trained here: with more dimensions than digits have.
WIDE = Plan(
    32, 1, latent_dim=32, width=16, mirrored=False, epochs=10, batch=64, precision="float32", iterations=1, seed=0
)

#: Auto-encoder, and what sees its images: their classifier for digits, which is also scored.
SETS = {
    "digits": ("mnist-ae", lambda: scorers.Classifier("mnist-classifier")),
    "wide digits": (WIDE, lambda: scorers.Classifier("mnist-classifier")),
    "logos": ("logos-ae", lambda: scorers.Classifier("cifar10-classifier")),
    "faces": ("fairface-ae", scores.LocalDetail),
}


class Data(NamedTuple):
    """What an auto-encoder makes of its data."""

    codes: np.ndarray
    held_out: np.ndarray
    autoencoder: Any
    extractor: Any  # of decoded images
    scored: bool


def encoded(name, most):
    known, extractor = SETS[name]
    if isinstance(known, Plan):
        autoencoder, *parts = trained_here(known, most)
    else:
        autoencoder = checkpoints.load(known)
        parts = [encoded_images(known, part, most=most) for part in ("train", "test")]
    return Data(*parts, autoencoder, extractor(), "digits" in name)


def trained_here(plan, most):
    """An auto-encoder of 20,000 digits by a plan of `otl.fit_images`, and the codes of these and of the test images."""
    sizes = {"train": min(20_000, most or 20_000), "test": most}
    images, others = (training_images("mnist", plan.side, part, most=size)[0] for part, size in sizes.items())
    together, device = processes(torch.device("cpu"))
    where = {"folder": None, "together": together, "save_seconds": 60.0}
    autoencoder, _, _ = trained(plan.recipe(), images, None, plan.epochs, plan.seed, device, **where)
    return autoencoder, *(scores.encode(autoencoder, channels_last(part)) for part in (images, others))


class Judge:
    """Points against other held-out codes: score and Fréchet distance of what they decode to, and of the codes."""

    def __init__(self, data, others):
        self.data, self.others = data, others
        self.reference = self.features(others)
        self.usual = np.median(scores.nearest_distances(others, data.codes))

    def features(self, points):
        decoded = scores.decode(self.data.autoencoder, torch.from_numpy(points).float())
        return self.data.extractor.features(decoded)

    def __call__(self, points, linear):
        """Columns of the tables, after the name."""
        features = self.features(points)
        score = []
        if self.data.scored:
            score = [f"{scores.inception_score(self.data.extractor.probabilities(features))[0]:.2f}"]
        near = np.median(scores.nearest_distances(points, self.data.codes)) / self.usual
        moved = math.sqrt(((points - linear) ** 2).sum(1).mean())
        spread = np.trace(np.cov(points.T)) / np.trace(np.cov(self.others.T))
        fid = scores.frechet_distance(features, self.reference)
        return [*score, f"{fid:.1f}", f"{moved:.2f}", f"{spread:.2f}", f"{near:.2f}"]

    @property
    def columns(self):
        return [*(["score"] if self.data.scored else []), "FID", "moved", "spread", "distance to stored codes"]


def parted(data, seed=0):
    """Held-out codes in random order: the first half for operations, the second to compare with."""
    order = np.random.default_rng(seed).permutation(len(data.held_out))
    first, others = np.array_split(data.held_out[order], 2)
    return first, others


def sums(first, weights, seed=1):
    """As many groups of points as there are points, all different within a group."""
    rng = np.random.default_rng(seed)
    start = rng.permutation(len(first))
    return np.stack([first[np.roll(start, i)] for i in range(len(weights))])


def by_lolatents(z1, z2, codes):
    """Through a Gaussian copula with the law of each coordinate of the codes."""
    ordered, levels = np.sort(codes, axis=0), (np.arange(len(codes)) + 0.5) / len(codes)

    def each(x, pairs):
        return np.stack([np.interp(x[..., j], *pair) for j, pair in enumerate(pairs)], -1)

    cdf = partial(each, pairs=[(column, levels) for column in ordered.T])
    inverse = partial(each, pairs=[(levels, column) for column in ordered.T])
    return _peers.through_copula([z1, z2], [0.5, 0.5], cdf, inverse)


def by_entropic_map(z1, z2, codes, blur):
    """Barycentric projection of the entropic plan from means of codes to others, continued to other points (POT)."""
    rng = np.random.default_rng(2)
    target, others = np.split(codes[rng.permutation(len(codes))], [min(SOLVED, len(codes) // 2)])
    source = others[rng.integers(len(others), size=(2, len(target)))].mean(0)
    cost = ot.dist(source, target) / 2
    eps = blur * cost.mean()
    masses = [np.full(n, 1 / n) for n in cost.shape]
    _, log = ot.sinkhorn(*masses, cost, eps, method="sinkhorn_log", numItermax=500, stopThr=1e-4, log=True)

    def projected(y):
        scaled = log["log_v"] - ot.dist(y, target) / (2 * eps)
        plan = np.exp(scaled - scaled.max(1, keepdims=True))
        return plan @ target / plan.sum(1, keepdims=True)

    return np.concatenate([projected(y) for y in np.array_split((z1 + z2) / 2, 8)])


def by_regression(z1, z2, prior, steps):
    """A smooth potential regressed on the exact one of `prior`, at fresh means: `brenier.exact_loss`."""
    correction = otl.monotone_map(prior.combine([0.5, 0.5]), prior).correction
    d, dual, like = len(prior.mean), correction.transport._dual, torch.empty(0)
    potential = brenier.Potential.seeded(0, dim=d)
    potential.shift.copy_(torch.from_numpy(prior.mean))
    potential.scale.fill_(float(prior.sample((10_000, d), rng=0).std(0).mean()))

    def scaled(points):
        return (points - potential.shift) / potential.scale

    def problem(step):
        u, own = dual.drawn(BATCH, torch.Generator().manual_seed(step), like)
        cells = planes.cells_of(dual, u, own)
        return scaled(u), dual.phi(u, cells) / potential.scale**2, scaled(dual.codes[cells])

    unkept = {"folder": None, "settings": {}, "save_seconds": 60.0}
    loss = partial(brenier.exact_loss, weight=1.0)
    brenier.Regression(potential, loss, 1e-3, steps, decay=True, **unkept).run(problem)
    u = correction.sums.given_moments(torch.from_numpy((z1 + z2) / 2**0.5).float())
    return brenier.transport(potential, scaled(u)).numpy()


def midpoints(data, steps):
    """Midpoints of pairs of held-out codes. *Moved* is the root mean square distance to linear midpoints, *spread*
    the variance of codes over that of held-out ones, *distance to stored codes* the median distance to the nearest
    over that of held-out codes. Seconds are of everything: fit and map, of as many points as there are.
    """
    first, others = parted(data)
    judge, (z1, z2) = Judge(data, others), sums(first, [1, 1])
    m, d = data.codes.mean(0), data.codes.shape[1]
    linear, fitted = (z1 + z2) / 2, otl.Codes(data.codes)
    everything = otl.Codes(data.codes, directions=d, stored=True)
    ways = {
        "held-out codes themselves": lambda: z1,
        "linear": lambda: linear,
        "SLERP": lambda: otl.slerp(z1, z2, 0.5),
        "SLERP about the mean": lambda: m + otl.slerp(z1 - m, z2 - m, 0.5),
        "the norms of the ends": lambda: _peers.norm_restored(linear, np.stack([z1, z2])),
        **({"lolatents, laws of coordinates": lambda: by_lolatents(z1, z2, data.codes)} if _peers.lol_iid else {}),
        **{f"entropic map (POT), blur {b}": partial(by_entropic_map, z1, z2, data.codes, b) for b in BLURS},
        "a Gaussian fitted to the codes": lambda: otl.interpolate(z1, z2, 0.5, otl.Codes(data.codes, directions=0)),
        "matched, stored codes": lambda: otl.interpolate(z1, z2, 0.5, everything),
        "matched, smooth potential": lambda: by_regression(z1, z2, everything, steps),
        "matched, new codes": lambda: otl.interpolate(z1, z2, 0.5, fitted),
    }
    rows = []
    for name, way in ways.items():
        points, took = timed(way)
        rows.append([name, *judge(points, z1 if name[0] == "h" else linear), f"{took:.1f}"])
        print(rows[-1], flush=True)
    text = table(["midpoints", *judge.columns, "seconds"], rows)
    return text + f"\nChosen by codes kept aside: {otl.monotone_map(fitted.combine([0.5, 0.5]), fitted).correction}.\n"


def operations(data, weights):
    """Means of more codes, analogies, and vicinity sampling with noise of a quarter of the codes' spread and with all
    of it: linear, with mean and covariance of the codes (a Gaussian fitted to them), and matched.
    """
    first, others = parted(data)
    judge, rows = Judge(data, others), []
    priors = {"linear": None, "Gaussian": otl.Codes(data.codes, directions=0), "matched": otl.Codes(data.codes)}
    calls = {}
    for name, each in weights.items():
        zs = sums(first, each)
        calls[name] = partial(otl.combine, zs, each), otl.combine(zs, each)
    spread = float(data.codes.std(0).mean())
    for share in (0.25, 1.0):
        law = otl.Gaussian(0, share * spread)
        noise = law.sample(first.shape, rng=3, like=first)
        calls[f"vicinity, noise {share:g}"] = partial(otl.vicinity, first, 1.0, noise, noise_law=law), first + noise
    for name, (call, linear) in calls.items():
        for kind, prior in priors.items():
            raw = prior is None
            rows.append([name, kind, *judge(linear if raw else call(prior=prior), linear)])
            print(rows[-1], flush=True)
    return table(["operation", "kind", *judge.columns], rows)


def paths(data, walk):
    """Paths of 500 pairs in eight equal steps. *Longest step*: over the mean one, 1 for a straight line. *Fits*:
    seconds of all maps on the way, the ends being none; *later*: of the same call again.
    """
    first, others = parted(data)
    judge, (z1, z2), rows = Judge(data, others), sums(first, [1, 1])[:, :500], []
    m = data.codes.mean(0)
    prior, t = otl.Codes(data.codes), walk[:, None, None]
    everything = otl.Codes(data.codes, directions=data.codes.shape[1], stored=True)
    ways = {
        "linear": lambda: otl.interpolate(z1, z2, t),
        "SLERP about the mean": lambda: m + otl.slerp(z1 - m, z2 - m, t),
        "matched, stored codes": lambda: otl.interpolate(z1, z2, t, everything),
        "matched, new codes": lambda: otl.interpolate(z1, z2, t, prior),
    }
    for name, way in ways.items():
        points, fits = timed(way)
        later = seconds(way)
        _, longest, ends = scores.path_metrics(points, z1, z2)
        worst = max(float(judge(step, step)[data.scored]) for step in points[1:-1])
        rows.append([name, "no" if any(ends) else "yes", f"{longest:.2f}", f"{worst:.0f}"])
        rows[-1] += [f"{fits:.1f}", f"{later:.2f}"]
        print(rows[-1], flush=True)
    return table(["path", "ends kept", "longest step", "largest FID on the way", "fits", "later"], rows)


def how_many(data):
    """The same midpoints with fewer codes, matched: what codes kept aside choose, and what comes of it."""
    first, others = parted(data)
    judge, linear, rows = Judge(data, others), sums(first, [1, 1]).mean(0), []
    for n in [n for n in (500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000) if n < 1.1 * len(data.codes)]:
        prior = otl.Codes(data.codes[:n])
        T, took = timed(lambda prior=prior: otl.monotone_map(prior.combine([0.5, 0.5]), prior))
        many = linear[np.arange(10_000) % len(linear)]
        again = seconds(partial(T, many))
        correction = T.correction
        chosen = [correction.directions, f"{correction.angle:g}", f"{correction.slope:g}"]
        rows.append([f"{n:,}", *chosen, *judge(T(linear), linear), f"{took:.1f}", f"{again:.2f}"])
        print(rows[-1], flush=True)
    header = ["codes", "directions", "angle", "slope", *judge.columns, "seconds to fit", "to map 10,000 points"]
    return table(header, rows)


def main():
    command = parser(__file__, __doc__)
    command.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    command.add_argument("--quick", action="store_true", help="a look: 600 images of each set")
    arguments = command.parse_args()
    warnings.simplefilter("ignore")  # of points that follow another law, which is what tables show
    most, steps, weights, walk = None, REGRESSED, WEIGHTS, WALK
    if arguments.quick:
        most, steps, weights, walk = 600, 20, {"analogies": WEIGHTS["analogies"]}, WALK[::4]
    sections = {}
    for name in arguments.sets:
        data = encoded(name, most)
        title = f"{name.capitalize()}, d = {data.codes.shape[1]}"
        some = data._replace(codes=data.codes[:CODES])
        parts = {
            "midpoints": (midpoints, some, steps),
            "operations": (operations, some, weights),
            "paths": (paths, some, walk),
            "number of codes": (how_many, data),
        }
        for what, (part, *given) in parts.items():
            sections[f"{title}: {what}"] = update_wrapper(partial(part, *given), part)
    sets = " ".join(f"'{name}'" for name in arguments.sets)
    write(arguments.out, f"# Operations on codes\n\nMade by `benchmarks/codes.py --sets {sets}`.\n", sections)


if __name__ == "__main__":
    main()
