"""A user's script: every public name, as `mypy --strict` sees it."""

import tempfile
import warnings

import numpy as np
import scipy.stats  # type: ignore[import-untyped]

import ot_latent as otl
from ot_latent import checkpoints, datasets, generators, scorers, scores

warnings.simplefilter("error", otl.DependentPointsWarning)
warnings.simplefilter("error", otl.OffPriorWarning)
prior = otl.Gaussian(0, 1)
others: list[otl.priors.Law] = [otl.Uniform(-1, 1), otl.ScipyPrior(scipy.stats.laplace())]
product = otl.Product([prior, otl.Uniform(-1, 1)])
codes = otl.Codes(prior.sample((100, 2), rng=0), directions=1, tolerance=0.2)
correlated = otl.MultivariateGaussian(0, np.eye(100) + 0.5)
heavy = otl.Elliptical(otl.Ball(100), 0, np.eye(100) + 0.5)
radial = [otl.Sphere(100), otl.Ball(100), otl.Radial(100, scipy.stats.halfnorm())]
z1, z2, z3 = prior.sample((3, 64, 100), rng=0)
path = otl.interpolate(z1, z2, np.linspace(1, 0, 9)[:, None, None], prior=prior)
mean = otl.combine([z1, z2, z3], [0.2, 0.3, 0.5], prior=prior)
near, walk = otl.vicinity(z1, 0.5, prior=prior, rng=1), otl.random_walk(z1, steps=5, eps=0.5, prior=prior, rng=2)
alike, bent = otl.analogy(z1, z2, z3, prior=prior), otl.slerp(z1, z2, 0.5)
law = prior.combine([0.3, 0.7])
mixed = otl.sum_law([prior, otl.Uniform(-1, 1)], [0.5, 0.5])
T = otl.monotone_map(law, prior)
print(codes.combine([0.5, 0.5]), codes.mean, otl.interpolate(z1[:, :2], z2[:, :2], 0.5, prior=codes))
print(law.cdf(0.1), law.icdf(0.9), law.pdf(0.0), law.mean, law.var, mixed.mean, T(z1), T.derivative(z1), T.cost(p=1))
print(otl.check_prior(mean, prior).p_value, correlated.sample((2, 100)), [p.sample((2, 100)) for p in radial])
print(heavy.sample((2, 100), rng=0).mean(), heavy.scatter.shape)
print([p.mean for p in others], product.var)
dual = otl.solve_kantorovich(z1, z2)
print(dual.phi, dual.psi, dual.matching, dual.cost, dual.w2)
ot = otl.SemiDiscreteOT(tolerance=0.1).fit(z1[:, :2])
noise, index = ot.pair(100, rng=0)
print(noise.shape, index.max(), ot.assignment(noise, temperature=0.1).sum())
classwise = otl.semidiscrete.ClassCoupling(tolerance=0.2).fit(z1[:, :2], np.arange(64) % 2)
print(
    classwise.pair(10, rng=0)[1],
    ot.heights,
    ot.transport(z2[:, :2]),
    ot.potential(z2[:, :2]),
    ot.mass_error(1000).high,
    ot.cost.value,
)
latent = otl.LatentTransport("semidiscrete", iterations=10).fit(z1[:, :2])
print(latent.transform(z2[:, :2]).shape, latent.sample(5, rng=0).shape)
with tempfile.TemporaryDirectory() as folder:
    print(otl.load(otl.save(ot, folder), device="cpu") == ot)
images: otl.ImageModel = otl.fit_images("photos", "model", side=64, epochs=10, minutes=1.0)
print(images.sample(4), images.interpolate(["a.png"], ["b.png"]), otl.fit_codes("codes.npy", "map").sample(5))
G, scorer = generators.load("mnist-vae"), scorers.Classifier("mnist-classifier")
result = otl.evaluate_operations(G, G.prior, scorer, n=200, dimension=G.latent_dim)
print(result["2-point matched"].change, checkpoints.load("mnist-ae"), datasets.eight_gaussians(256).shape)
print(scores.frechet_distance(z1, z2), scores.inception_score(np.full((10, 2), 0.5)))
run = otl.Run("04_perturbation_table", "smoke", 0, False, "cpu", None, "../build/figures")
run.record("theorem2", 0.0)
print(run.table())
