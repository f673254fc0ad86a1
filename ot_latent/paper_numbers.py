"""The papers as data: every number that they print, what they claim, and where each part is run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A number or a claim of a paper.

    ``error`` is the paper's own standard deviation or, where it gives none, half a unit of the last
    digit. A claim has no value. ``item`` is "paper/number" of the `Item` that it belongs to.
    """

    key: str
    item: str
    label: str
    value: float | None = None
    error: float | None = None
    claim: str | None = None


@dataclass(frozen=True)
class Item:
    """A figure, table, equation, theorem or algorithm, and the notebook that runs it (or will)."""

    paper: str
    number: str
    title: str
    notebook: str
    exists: bool = True


def _number(key, item, label, value, error):
    return Published(key, item, label, value, error)


def _claim(key, item, label, claim):
    return Published(key, item, label, claim=claim)


_PRIORS = {"uniform": "uniform", "gaussian": "Gaussian"}

_TABLE_3 = {
    "gaussian100": ("Gaussian, d = 100", 0.2463, 0.2460),
    "uniform100": ("uniform, d = 100", 0.2377, 0.2477),
    "gaussian128": ("Gaussian, d = 128", 0.2470, 0.2460),
    "uniform128": ("uniform, d = 128", 0.2384, 0.2479),
}

_TABLE_2_ROWS = ("random", "linear2", "matched2", "linear4", "matched4")
_TABLE_2 = {
    "cifar10": ((7.90, 0.11), (7.12, 0.08), (7.89, 0.08), (5.84, 0.08), (7.91, 0.09)),
    "lldicon": ((3.70, 0.09), (3.56, 0.06), (3.69, 0.08), (3.45, 0.08), (3.69, 0.10)),
    "lsun": ((3.90, 0.08), (3.57, 0.07), (3.89, 0.08), (2.95, 0.06), (3.91, 0.10)),
    "celeba": ((2.05, 0.04), (1.71, 0.02), (2.04, 0.03), (1.46, 0.01), (2.04, 0.04)),
}

# our generators, see table2.SETTINGS
_TABLE_2_SETTINGS = {
    "cifar10-wgan-gp": "CIFAR-10",
    "icons-dcgan-uniform": "icons",
    "mnist-dcgan-uniform": "MNIST, uniform prior",
    "faces-wae": "faces",
    "mnist-dcgan-gaussian": "MNIST, Gaussian prior",
}
_TABLE_2_CLAIMS = {
    "linear": "a significantly lower score in all settings",
    "matched": "statistically indistinguishable from random samples",
}

_OPERATIONS = {
    "interpolation": "2-point interpolation",
    "npoint": "n-point interpolation",
    "vicinity": "vicinity sampling",
    "analogy": "analogies",
}

_FIG_1 = {
    "linear": "midpoints condense towards the origin, off the prior",
    "slerp": "midpoints have a hole around the origin, off the prior",
    "matched": "midpoints are distributed identically to the prior",
}
_FIG_2 = {
    "linear": "norms of midpoints have little overlap with the prior's",
    "slerp": "norms of midpoints do not have the prior's law",
    "slerp_mean": "norms of midpoints match the prior's first moment",
    "matched": "norms of midpoints have the prior's law",
}
_FIG_4 = {"mnist": "digits", "cifar10": "photographs", "icons": "icons", "faces": "faces"}
_APPENDIX_A = {
    "kl": ("divergence, d = 1000 : 100", "grows linearly with d"),
    "support": ("overlap, d = 100", "almost no common support"),
    "slerp": ("SLERP, d = 1000", "approximately matches the distribution in high dimension"),
}


_BOUSQUET = {
    "Equations (1)-(2)": (
        ("eq2.two_points", "two points, W1", "the dual value is the primal one"),
    ),
    "Equations (8)-(11), Theorem 1": (
        ("theorem1.finite", "finite spaces", "encoders that match the prior give W"),
        ("theorem1.line", "on the line", "encoders that match the prior give W"),
        ("theorem1.random_decoder", "random decoders, W† - W, least", "W is at most W†"),
    ),
    "Equation (12)": (
        ("eq12.below", "W - relaxed W, least", "the relaxation is below W for every weight"),
        ("eq12.monotone", "growth with the weight, least", "the gap reduces with the weight"),
        ("eq12.mu", "penalty against constraint", "a penalty is a constraint F(Q) <= mu"),
    ),
    "Equation (13)": (
        ("eq13.aae", "2 sigma² AAE - POT, spread", "equal up to terms free of Q and G"),
    ),
    "Equations (16)-(17), Corollary 7": (
        (
            "corollary7",
            "extra term over the sum of variances",
            "the extra term is the sum of variances",
        ),
    ),
    "Proposition 2, Lemma 8": (
        ("prop2.c_star", "slope by SGD, noise in the code", "c* = sqrt(1 - sigma²) minimises W2"),
        ("prop2.c_dagger", "slope by SGD, noise after the code", "c† = 1 minimises W†"),
    ),
    "Proposition 3": (
        (
            "prop3.lipschitz",
            "cosine, almost optimal witness",
            "direction C-wrong for every epsilon",
        ),
        ("prop3.smooth", "cosine, best smooth witness", "direction C-wrong"),
        ("prop3.smooth_almost", "cosine, almost best smooth witness", "not above zero"),
    ),
    "Propositions 4 and 5": (
        ("prop4", "AVB - AAE, least", "AAE is at most AVB"),
        ("prop5", "VAE - AAE, least", "AAE is at most VAE, if all KL >= 1/4"),
        ("prop5.divergences", "JS over KL, largest", "JS <= KL where KL >= 1/4"),
    ),
    "Equations (14)-(15)": (
        ("eq15", "likelihood by (15), spread", "the same for every encoder"),
        ("eq14", "encoder of least VAE loss", "inverts the decoder: the posterior"),
    ),
    "Section 4.2": (
        ("w1.primal", "W1 by POT over exact", "the primal form of the same problem"),
        ("w1.dual", "W1 by WGAN-GP over exact", "the dual form of the same problem"),
        ("w1.codes.primal", "the same on codes, POT", "the primal form of the same problem"),
        ("w1.codes.dual", "the same on codes, WGAN-GP", "the dual form of the same problem"),
    ),
    "Figure 1": (
        ("fig1.vae", "overlap of codes, VAE", "points share codes, the decoder averages"),
        ("fig1.pot", "overlap of codes, AAE over VAE", "encoders need not overlap"),
        ("fig1.optimal", "decoded against E[X | Z], VAE", "the decoder averages data: E[X | Z]"),
        ("fig1.mnist.vae", "overlap of codes, VAE on MNIST", "encoders necessarily overlap"),
        (
            "fig1.mnist.optimal",
            "decoded against E[X | Z], VAE on MNIST",
            "the decoder averages data: E[X | Z]",
        ),
        (
            "fig1.mnist.sharpness",
            "sharpness on MNIST, POT over VAE",
            "the VAE necessarily averages, POT need not",
        ),
    ),
}


def _figure_4(key, item):
    for data, what in _FIG_4.items():
        label = f"linear midpoints over random samples, {what}"
        yield _claim(f"{key}.{data}.detail", item, f"detail: {label}", "more blurry, less detailed")
        yield _claim(f"{key}.{data}.saturation", item, f"saturation: {label}", "less saturated")
    yield _claim(
        f"{key}.slerp",
        item,
        "SLERP over matched midpoints",
        "we do not observe a difference in visual quality",
    )
    yield _claim(
        f"{key}.matched",
        item,
        "matched midpoints over random samples",
        "samples are consistent with the generative model",
    )


def _agustsson():
    paper = "agustsson2019"
    for law, name in _PRIORS.items():
        for how, text in _FIG_1.items():
            yield _claim(
                f"{paper}.fig1.{law}.{how}", f"{paper}/Figure 1", f"{how}, {name} prior", text
            )
        for how, text in _FIG_2.items():
            label = f"{how.replace('_', ', ')}, {name} prior"
            yield _claim(f"{paper}.fig2.{law}.{how}", f"{paper}/Figure 2", label, text)
        for t in ("05", "25", "50"):
            yield _claim(
                f"{paper}.fig3.{law}.t{t}",
                f"{paper}/Figure 3",
                f"map at t = 0.{t}, {name} prior",
                "the map brings y back to the prior",
            )
        for how, text in _OPERATIONS.items():
            yield _claim(
                f"{paper}.table1.{how}.{law}",
                f"{paper}/Table 1",
                f"{text}, {name} prior",
                "the matched operation follows the prior",
            )
            yield _claim(
                f"{paper}.appendixB.{how}.{law}",
                f"{paper}/Appendix B",
                f"law of {text}, {name} prior",
                "normal, or piecewise polynomial",
            )
    yield from _figure_4(f"{paper}.fig4", f"{paper}/Figure 4")
    yield _claim(
        f"{paper}.theorem1",
        f"{paper}/Theorem 1",
        "d problems in one",
        "solved coordinate by coordinate",
    )
    yield _claim(
        f"{paper}.theorem2", f"{paper}/Theorem 2", "monotone map", "no coupling is cheaper"
    )
    for law, name in _PRIORS.items():
        for what, (label, text) in _APPENDIX_A.items():
            key = f"{paper}.appendixA.{what}.{law}"
            yield _claim(key, f"{paper}/Appendix A", f"{label}, {name} prior", text)
        yield _claim(
            f"{paper}.appendixC.{law}",
            f"{paper}/Appendix C",
            f"cheapest stochastic operation, {name} prior",
            "no stochastic operation changes points less than the map",
        )
    yield _claim(
        f"{paper}.appendixA.kilcher",
        f"{paper}/Appendix A",
        "prior of Kilcher et al.",
        "less, but still nonzero, mismatch",
    )
    for row, (label, two, one) in _TABLE_3.items():
        yield _number(f"{paper}.table3.{row}.l2", f"{paper}/Table 3", f"{label}, p = 2", two, 5e-5)
        yield _number(f"{paper}.table3.{row}.l1", f"{paper}/Table 3", f"{label}, p = 1", one, 5e-5)
    for data, cells in _TABLE_2.items():
        for row, (value, deviation) in zip(_TABLE_2_ROWS, cells, strict=True):
            key = f"{paper}.table2.{data}.{row}"
            yield _number(key, f"{paper}/Table 2", f"{data}, {row}", value, deviation)
    for name, setting in _TABLE_2_SETTINGS.items():
        for how, text in _TABLE_2_CLAIMS.items():
            key = f"{paper}.table2.{how}.{name}"
            yield _claim(key, f"{paper}/Table 2", f"{how} means, {setting}", text)


def _liu():
    paper = "liu2018"
    yield _claim(f"{paper}.eq14.gap", f"{paper}/Equation (14)", "duality gap", "solved exactly")
    figure = f"{paper}/Figure 2"
    for key, label, claim in (
        ("map5", "after 5 iterations", "the image is still close to the noise"),
        ("map10000", "after 10,000 iterations", "the image is like the eight Gaussians"),
        (
            "better_lr",
            "after 10,000 iterations, decaying rate (not the paper's)",
            "the image is like the eight Gaussians",
        ),
        ("modes", "fresh noise, share near a mode", "models multi-cluster distributions"),
        ("w2", "fresh noise, W2 to fresh targets", "models multi-cluster distributions"),
    ):
        yield _claim(f"{paper}.fig2.{key}", figure, label, claim)
    table = f"{paper}/Table 1"
    for key, label, value, error in (
        ("vae", "VAE", 1.76, 0.11),
        ("wae", "WAE", 1.64, 0.09),
        ("aeot", "AE-OT", 1.78, 0.13),
    ):
        yield _number(f"{paper}.table1.{key}", table, f"Inception Score, {label}", value, error)
    for key, model in (("order", "VAE"), ("order_wae", "WAE")):
        yield _claim(
            f"{paper}.table1.{key}", table, f"AE-OT over {model}", f"AE-OT is above the {model}"
        )
    figure = f"{paper}/Figure 3"
    for key, label, claim in (
        ("fid_vae", "Frechet distance, VAE", "some digits are unclear and incomplete"),
        ("copies", "nearest training digit, AE-OT", "digits are generated, not repeated"),
        ("fid_aeot", "Frechet distance, AE-OT", "digits are better than the VAE's"),
        (
            "fid_reconstruction",
            "Frechet distance, reconstructions",
            "the auto-encoder preserves the manifold of the data",
        ),
        ("codes", "W2 of mapped noise to codes", "noise is mapped to the law of the codes"),
    ):
        yield _claim(f"{paper}.fig3.{key}", figure, label, claim)
    figure = f"{paper}/Figure 4"
    for key, label, claim in (
        (
            "aeot_vae",
            "Frechet distance, AE-OT over VAE",
            "faces are visually much better than VAE's",
        ),
        (
            "aeot_wae",
            "Frechet distance, AE-OT over WAE",
            "faces are visually much better than WAE's",
        ),
        ("wae_blur", "detail, WAE over AE-OT", "WAE's images are very blurry, AE-OT's clear"),
        ("structure", "nearest face, AE-OT over held out", "complete and recognizable faces"),
    ):
        yield _claim(f"{paper}.fig4.{key}", figure, label, claim)
    figure = f"{paper}/Figure 5"
    for key, label, claim in (
        ("clear", "detail half-way over that of the ends", "preserves clear facial structure"),
        ("smooth", "largest of eight steps, share", "smooth transition of facial appearance"),
    ):
        yield _claim(f"{paper}.fig5.{key}", figure, label, claim)
    more = "solving the optimal transport more accurately is left to the future"
    for key, label in (
        ("w2", "W2 of mapped noise to test codes"),
        ("new", "new codes, no copies"),
        ("inception", "Inception Score against reconstructions"),
        ("frechet", "Frechet distance against reconstructions"),
        ("faces", "Frechet distance of faces, all codes over batches"),
    ):
        yield _claim(f"{paper}.conclusion.{key}", f"{paper}/Conclusion", label, more)
    yield _claim(
        f"{paper}.classifier", table, "our scorer's accuracy", "not in the paper: at least 99 %"
    )


def _bousquet():
    paper = "bousquet2017"
    for item, entries in _BOUSQUET.items():
        for key, label, claim in entries:
            yield _claim(f"{paper}.{key}", f"{paper}/{item}", label, claim)


#: Every published number and claim by key, such as "agustsson2019.table3.gaussian100.l2".
PUBLISHED = {entry.key: entry for entry in (*_agustsson(), *_liu(), *_bousquet())}

_A, _L, _B = "agustsson2019", "liu2018", "bousquet2017"
_01, _02, _03, _04 = (
    "01_midpoint_densities_2d",
    "02_norm_histograms_100d",
    "03_monotone_maps",
    "04_perturbation_table",
)
_05, _06, _07 = "05_eight_gaussians", "06_mnist_samples", "07_celeba_samples"

#: Every figure, table, numbered equation, statement and algorithm of the three papers.
ITEMS = (
    Item(_A, "Figure 1", "midpoints in two dimensions", _01),
    Item(_A, "Figure 2", "squared norms of midpoints in 100 dimensions", _02),
    Item(_A, "Figure 3", "monotone transport maps", _03),
    Item(_A, "Figure 4", "two-point interpolations of images", "13_latent_operations_gallery"),
    Item(_A, "Table 1", "the operations", _03),
    Item(_A, "Table 2", "Inception Scores of midpoints", "08_inception_scores"),
    Item(_A, "Table 3", "perturbation by matching", _04),
    Item(_A, "Strategy 1", "optimal transport matched operations", _03),
    Item(_A, "Problems 1 and 2", "Monge's and Kantorovich's problems", _03),
    Item(_A, "Theorem 1", "i.i.d. coordinates: d scalar problems", _03),
    Item(_A, "Theorem 2", "the monotone map is optimal", _03),
    Item(_A, "Equations (1)-(4)", "operations, mismatch and additive costs", _03),
    Item(_A, "Equations (5)-(6)", "the monotone map", _03),
    Item(_A, "Appendix A", "the curse of dimension", "09_curse_of_dimension"),
    Item(_A, "Appendix B", "maps for every operation", _03),
    Item(_A, "Appendix C", "stochastic operations", "10_deterministic_or_stochastic"),
    Item(_L, "Figure 1", "the workflow of AE-OT", _06),
    Item(_L, "Figure 2", "eight Gaussians", _05),
    Item(_L, "Figure 3", "MNIST samples", _06),
    Item(_L, "Figure 4", "CelebA samples", _07),
    Item(_L, "Figure 5", "interpolation of CelebA faces", _07),
    Item(_L, "Table 1", "Inception Scores on MNIST", _06),
    Item(_L, "Algorithms 1 and 2", "training and generating", _06),
    Item(_L, "Theorems 1 and 2", "Brenier's theorem and T = x + grad phi", _05),
    Item(_L, "Equations (1)-(9)", "Monge, Kantorovich, duality and c-transform", _05),
    Item(_L, "Equation (10)", "the map from the potential", _05),
    Item(_L, "Equations (11)-(13)", "the discrete problem and its dual", _05),
    Item(_L, "Equation (14)", "the dual between two samples", _05),
    Item(_L, "Equation (15)", "regression of the potential", _05),
    Item(_L, "Equations (16)-(19)", "matching, regularised regression, generation", _06),
    Item(_L, "Conclusion", "solving the transport more accurately", "12_exact_transport"),
    Item(_B, "Figure 1", "encoders of VAE and of optimal transport", "15_vae_or_ot"),
    Item(_B, "Equations (1)-(2)", "transport costs and duality for W1", "14_penalized_ot"),
    Item(_B, "Equations (3)-(7)", "latent variable models, GAN, VAE, AVB, AAE", "15_vae_or_ot"),
    Item(_B, "Equations (8)-(11), Theorem 1", "couplings through the code", "14_penalized_ot"),
    Item(_B, "Equation (12)", "relaxed constraint", "14_penalized_ot"),
    Item(_B, "Equation (13)", "penalised optimal transport", "14_penalized_ot"),
    Item(_B, "Equations (14)-(15)", "the VAE's optimal encoder", "15_vae_or_ot"),
    Item(_B, "Equations (16)-(17), Corollary 7", "random decoders", "14_penalized_ot"),
    Item(
        _B,
        "Proposition 2, Lemma 8",
        "minimisers depend on the noise or not",
        "14_penalized_ot",
    ),
    Item(_B, "Proposition 3", "gradients of almost optimal witnesses", "14_penalized_ot"),
    Item(_B, "Section 4.2", "W1 from the primal and from the dual", "14_penalized_ot"),
    Item(_B, "Propositions 4 and 5", "AAE below AVB and VAE", "15_vae_or_ot"),
)
