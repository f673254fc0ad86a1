"""What a fit is worth, against what was held out: numbers for the card, and words."""

from typing import Any

import numpy as np
import torch

from ot_latent import scores
from ot_latent.latent_transport import LatentTransport
from ot_latent.scores.neighbours import NEIGHBOURS
from ot_latent.scores.reports import transport_report

_BLOCKS = 5


def code_scores(transport: LatentTransport, codes: np.ndarray, held_out: np.ndarray) -> dict[str, Any]:
    """Mapped noise against codes that were held out, each beside what codes themselves get."""
    n = len(held_out)
    drawn = transport.sample(n, rng=1).numpy(force=True)
    found = transport_report({"samples": drawn}, codes, held_out, max(NEIGHBOURS + 1, n // _BLOCKS))
    ours = found["samples"]
    measures = {name: list(getattr(ours, name)) for name in ("ratio", "spread", "coverage", "density", "nearest")}
    return {"held_out": n, "ratio_of_a_gaussian": found["Gaussian fit"].ratio.value, **measures}


def code_words(found: dict[str, Any]) -> list[str]:
    """The scores of codes in words."""
    (w2, low, high), (near, near_low, near_high) = found["ratio"], found["nearest"]
    new = "no copies: they lie as far from what was fitted as held-out ones do, or farther"
    old = "nearer to what was fitted than held-out ones: some of it may be repeated"
    return [
        f"**Law.** W2 from new codes to {found['held_out']:,} held-out ones is {w2:.2f} times that "
        f"of fitted codes ({low:.2f} to {high:.2f}), the floor. Points of the Gaussian with their mean and covariance "
        f"have {found['ratio_of_a_gaussian']:.2f}.",
        f"**Spread.** New codes spread {found['spread'][0]:.2f} times as wide as fitted ones: far below 1 they are "
        "too alike.",
        f"**Coverage.** New codes lie near {found['coverage'][0]:.2f} times as many held-out ones as fitted ones do, "
        f"and {found['density'][0]:.2f} times as densely: far below 1 kinds are missing or codes lie astray.",
        f"**Memorisation.** New codes are {new if near_high >= 1 else old}. Their median distance to the nearest "
        f"fitted code is {near:.2f} times that of held-out ones ({near_low:.2f} to {near_high:.2f}); 0 is a copy.",
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
