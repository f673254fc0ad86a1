"""What a fit is worth, against what was held out: numbers for the card, and words."""

from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import cdist

from ot_latent import scores
from ot_latent.latent_transport import LatentTransport
from ot_latent.scores.reports import transport_report

_BLOCKS, _NEIGHBOURS = 5, 5


def coverage(points: np.ndarray, held_out: np.ndarray) -> float:
    """Share of held-out points that have another one nearer than their fifth held-out neighbour: (n, d), (m, d).

    References
    ----------
    Naeem, Oh, Uh, Choi and Yoo (2020), Reliable fidelity and diversity metrics for generative models.
    """
    k = min(_NEIGHBOURS, len(held_out) - 1)
    reach = np.partition(cdist(held_out, held_out), k, axis=1)[:, k]
    return float((cdist(held_out, points).min(1) <= reach).mean())


def code_scores(transport: LatentTransport, codes: np.ndarray, held_out: np.ndarray) -> dict[str, Any]:
    """Mapped noise against codes that were held out, each beside what codes themselves get."""
    n = len(held_out)
    drawn = transport.sample(n, rng=1).numpy(force=True)
    usual = codes[np.random.default_rng(0).permutation(len(codes))[:n]]
    found = transport_report({"samples": drawn}, codes, held_out, max(1, n // _BLOCKS))
    ours, linear = found["samples"], found["Gaussian fit"]
    return {
        "held_out": n,
        "w2_over_floor": ours.ratio,
        "w2_over_floor_interval_95": list(ours.ratio_interval),
        "w2_over_floor_of_a_gaussian": linear.ratio,
        "spread": float(np.sqrt(drawn.var(0).sum() / held_out.var(0).sum())),
        "coverage": coverage(drawn, held_out),
        "coverage_of_codes": coverage(usual, held_out),
        "nearest": ours.nearest,
        "nearest_interval_95": list(ours.nearest_interval),
    }


def code_words(found: dict[str, Any]) -> list[str]:
    """The scores of codes in words."""
    (low, high), (near_low, near_high) = found["w2_over_floor_interval_95"], found["nearest_interval_95"]
    new = "no copies: they lie as far from what was fitted as held-out ones do, or farther"
    near = "nearer to what was fitted than held-out ones: some of it may be repeated"
    return [
        f"**Law.** W2 from new codes to {found['held_out']:,} held-out ones is {found['w2_over_floor']:.2f} times that "
        f"of fitted codes ({low:.2f} to {high:.2f}), the floor. Points of the Gaussian with their mean and covariance "
        f"have {found['w2_over_floor_of_a_gaussian']:.2f}.",
        f"**Spread.** New codes spread {found['spread']:.2f} times as wide as held-out ones: far below 1 they are "
        "too alike.",
        f"**Coverage.** {found['coverage']:.0%} of held-out codes have a new one in their neighbourhood; with as many "
        f"fitted codes it is {found['coverage_of_codes']:.0%}.",
        f"**Memorisation.** New codes are {new if near_high >= 1 else near}. Their median distance to the nearest "
        f"fitted code is {found['nearest']:.2f} times that of held-out ones ({near_low:.2f} to {near_high:.2f}); "
        "0 is a copy.",
    ]


def image_scores(
    samples: torch.Tensor, held_out: torch.Tensor, rebuilt: torch.Tensor, some: torch.Tensor
) -> dict[str, Any]:
    """New images against held-out ones, beside reconstructions of these and some of the fitted: (n, c, s, s) each."""
    local = scores.LocalDetail()
    real = local.features(held_out)
    errors = (held_out - rebuilt).square().flatten(1).sum(1)
    variance = (held_out - some.mean(0)).square().flatten(1).sum(1).mean()
    return {
        "squared_error": float(errors.mean()),
        "variance_explained": float(1 - errors.mean() / variance),
        "detail_distance": scores.frechet_distance(local.features(samples), real),
        "detail_distance_of_reconstructions": scores.frechet_distance(local.features(rebuilt), real),
        "detail_distance_of_images": scores.frechet_distance(local.features(some), real),
        "detail": float(scores.detail(samples).mean() / scores.detail(held_out).mean()),
    }


def image_words(found: dict[str, Any]) -> list[str]:
    """The scores of images in words."""
    return [
        f"**Reconstructions.** They keep {found['variance_explained']:.0%} of the variance of held-out images, with a "
        f"squared error of {found['squared_error']:.1f} an image.",
        f"**Detail.** New images have {found['detail']:.0%} of the fine detail of real ones; what is missing is blur. "
        f"The Frechet distance of where it lies is {found['detail_distance']:,.0f} from held-out images; that of their "
        f"reconstructions is {found['detail_distance_of_reconstructions']:,.0f}, of other real images "
        f"{found['detail_distance_of_images']:,.0f}.",
    ]


def listed(words: list[str]) -> str:
    """Sentences as a list in Markdown."""
    return "".join(f"- {word}\n" for word in words)
