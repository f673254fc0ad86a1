"""All public objects go to worker processes and come back equal: by pickle, by deepcopy, and several at a time."""

import copy
import inspect
import multiprocessing
import pickle
import random
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import public
import pytest
import scipy.stats
import torch
from evaluation_toys import evaluate

import ot_latent as otl
from ot_latent import (
    brenier,
    codes,
    datasets,
    laguerre,
    latent_transport,
    models,
    own,
    priors,
    scores,
    semidiscrete,
    training,
)
from ot_latent.paper import table2

POINTS = np.random.default_rng(0).standard_normal((60, 2))
LAW = otl.Codes(POINTS, directions=1, tolerance=0.5)
OT = otl.SemiDiscreteOT(tolerance=0.5).fit(POINTS)


def fitted(method="minibatch"):
    return otl.LatentTransport(method, iterations=3, batch=8, layers=2, width=8).fit(POINTS)


def moments():
    statistics = scores.FeatureStatistics(2)
    statistics.update(POINTS)
    return statistics


def evaluation():
    return evaluate(n=200)


#: How to make one of each class; a new class needs its line.
MAKERS = {
    otl.Codes: lambda: LAW,
    codes.SumOfCodes: lambda: LAW.combine([0.5, 0.5]),
    codes.CodesMap: lambda: otl.monotone_map(LAW.combine([0.5, 0.5]), LAW),
    codes.Correction: lambda: otl.monotone_map(LAW.combine([0.5, 0.5]), LAW).correction,
    codes.Gain: lambda: codes.Gain(0.1, 0.2, 0.3),
    codes.Trial: lambda: codes.Trial(1, 0.7, 0.5, 0.1, *(codes.Gain(0.1, 0.2, 0.3),) * 2),
    otl.Gaussian: lambda: otl.Gaussian([0, 1], torch.ones(2)),
    otl.Uniform: otl.Uniform,
    priors.Trapezoid: lambda: otl.Uniform().combine([0.5, 0.5]),
    priors.UniformSum: lambda: otl.Uniform().combine([0.5, 0.5, 1]),
    priors.LawPerEntry: lambda: otl.Uniform().combine(np.eye(3)),
    otl.Product: lambda: otl.Product([otl.Uniform(), otl.Gaussian()]),
    otl.Radial: lambda: otl.Ball(3).combine([0.5, 0.5]),
    otl.MultivariateGaussian: lambda: otl.MultivariateGaussian(0, [[2, 1], [1, 2]]),
    otl.Elliptical: lambda: otl.Elliptical(otl.Sphere(2), [1, 2], [[2, 1], [1, 2]]),
    otl.ScipyPrior: lambda: otl.ScipyPrior(scipy.stats.gamma(2, scale=3)),
    otl.MonotoneMap: lambda: otl.monotone_map(otl.Uniform(), otl.Gaussian()),
    otl.monotone.ScaledMap: lambda: otl.monotone_map(otl.Gaussian(), otl.Gaussian(1, 2)),
    otl.PriorCheck: lambda: otl.check_prior(POINTS, otl.Gaussian()),
    otl.KantorovichSolution: lambda: otl.solve_kantorovich(POINTS, POINTS + 1),
    otl.SemiDiscreteOT: lambda: OT,
    laguerre.SemiDual: lambda: OT._dual,
    laguerre.Estimate: lambda: OT.cost,
    laguerre.Ascent: None,  # at work, never kept
    semidiscrete.ClassCoupling: lambda: semidiscrete.ClassCoupling(tolerance=0.5).fit(POINTS, np.arange(60) % 2),
    otl.LatentTransport: lambda: fitted("semidiscrete"),
    latent_transport.Inverse: lambda: fitted().invert(POINTS, steps=2),
    latent_transport.DebiasedSemiDiscrete: lambda: latent_transport.DebiasedSemiDiscrete(
        torch.from_numpy(POINTS).float(), 8, 0, 0.5, None
    ),
    brenier.Regression: None,  # at work, never kept
    models.generators.Generator: lambda: models.generators.load("mnist-vae"),
    datasets.DataFile: lambda: datasets.DATASETS["mnist"].files[0],
    datasets.DataSet: lambda: datasets.DATASETS["mnist"],
    scores.Evaluation: evaluation,
    scores.OperationScore: lambda: evaluation().rows[1],
    scores.Operation: lambda: scores.OPERATIONS["2-point matched"],
    scores.FeatureStatistics: moments,
    scores.FrechetBias: lambda: scores.frechet_bias(POINTS, POINTS + 1),
    scores.InceptionStatistics: lambda: scores.InceptionStatistics(200, 3),
    scores.LocalDetail: scores.LocalDetail,
    scores.Memorisation: lambda: scores.memorisation(POINTS, POINTS + 1, POINTS + 2),
    scores.PathMetrics: lambda: scores.path_metrics([POINTS, POINTS + 1], POINTS, POINTS),
    scores.references.Reference: lambda: next(iter(scores.references.REFERENCES.values())),
    scores.scorers.Classifier: scores.scorers.Classifier,
    scores.scorers.EfficientNetLite0: scores.scorers.EfficientNetLite0,
    scores.scorers.InceptionV3: None,  # test_scorers.py: its file is no part of the checkout
    otl.ImageModel: lambda: otl.ImageModel(
        models.autoencoders.Autoencoder(2, 4), fitted(), torch.from_numpy(POINTS), {}
    ),
    own.Plan: lambda: own.Plan(64, 3, 20, 16, True, 10, 64, "float32", 1_000, 0),
    training.Recipe: lambda: training.RECIPES["mnist-vae"],
    training.ToyRecipe: lambda: next(r for r in training.RECIPES.values() if isinstance(r, training.ToyRecipe)),
    training.TransportRecipe: lambda: training.RECIPES["mnist-aeot"],
    training.Training: None,  # at work, never kept
    table2.Setting: lambda: next(iter(table2.SETTINGS)),
    otl.Run: lambda: otl.Run("04_perturbation_table", "smoke", 0, False, "cpu", None, "../build/figures"),
}


def kept(kind: type) -> bool:
    """Whether objects of a class are kept and compared; networks are, by their weights, below."""
    return not issubclass(kind, BaseException | torch.nn.Module) and not getattr(kind, "_is_protocol", False)


CLASSES = [value for value in public.names().values() if inspect.isclass(value) and kept(value)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_copies_are_equal(kind):
    assert kind in MAKERS, f"{kind} is public: say in MAKERS how to make one"
    if MAKERS[kind] is None:
        return
    made = MAKERS[kind]()
    assert isinstance(made, kind)
    for twin in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made), copy.copy(made)):
        assert twin == made and not twin != made


@pytest.mark.parametrize("kind", [k for k in public.names().values() if inspect.isclass(k)], ids=lambda k: k.__name__)
def test_networks_keep_every_weight(kind):
    if not issubclass(kind, torch.nn.Module) or not hasattr(kind, "__init__"):
        return
    sizes = {"dim": 2, "latent_dim": 2, "base_width": 2, "width": 4, "inputs": 2, "outputs": 3}
    wanted = inspect.signature(kind).parameters
    try:
        network = kind(**{name: value for name, value in sizes.items() if name in wanted})
    except TypeError:  # a part of a network, which others make
        return
    for twin in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        assert priors.laws.plain(twin) == priors.laws.plain(network)


def test_they_travel_to_a_worker_process_and_back():
    made = [OT, LAW, fitted(), MAKERS[otl.Radial](), MAKERS[otl.KantorovichSolution]()]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        for thing, twin in zip(made, pool.map(copy.copy, made), strict=True):
            assert twin == thing
        np.testing.assert_array_equal(pool.submit(OT.transport, POINTS).result(), OT.transport(POINTS))


def fit(seed):
    """What a fit of each kind finds."""
    points = np.random.default_rng(seed).standard_normal((120, 2))
    ot = otl.SemiDiscreteOT(tolerance=0.5, random_state=seed).fit(points)
    small = {"iterations": 5, "layers": 2, "width": 8, "tolerance": 0.5, "random_state": seed}
    latent = otl.LatentTransport("semidiscrete", **small).fit(points)
    minibatch = otl.LatentTransport(batch=8, **small).fit(points)
    prior = otl.Codes(points, directions=1, tolerance=0.5, random_state=seed)
    middle = otl.interpolate(*points.reshape(2, 60, 2), 0.5, prior=prior)
    return ot, latent, minibatch, prior, middle


def test_fits_of_several_threads_are_those_of_one_and_leave_global_state_alone():
    alone = [fit(seed) for seed in range(3)]
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    threads = torch.get_num_threads()
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(fit, range(3)))
        denormals = list(pool.map(lambda _: torch.tensor(1e-40).mul(1).item() > 0, range(3)))
    for one, other in zip(alone, together, strict=True):
        assert one[:4] == other[:4]
        np.testing.assert_array_equal(one[4], other[4])
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1]) and random.getstate() == before[2]
    assert torch.get_num_threads() == threads and all(denormals)


def test_one_fit_may_be_asked_from_several_threads():
    z = np.random.default_rng(1).standard_normal((20_000, 2))
    expected = OT.transport(z)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(OT.transport, [z] * 8):
            np.testing.assert_array_equal(found, expected)
