"""What the card of a trained model says of it: numbers on held-out images, with 95 % intervals."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ot_latent import scores
from ot_latent.datasets.image_sets import ROWS, float_chunks
from ot_latent.latent_transport import LatentTransport
from ot_latent.models.generators import Generator
from ot_latent.scores.reports import transport_report
from ot_latent.scores.scorers import Classifier

_MOST_POINTS, _BLOCKS = 1_000, 5  # a side of an exact problem: seconds; and problems where codes are few


def metrics(
    model: Any, images: np.ndarray, labels: np.ndarray | None, device: torch.device, samples: int, scorer: Path | None
) -> dict[str, Any]:
    """Metrics of a model in evaluation mode on held-out images, by what it can do.

    Parameters
    ----------
    model : module
        A classifier, an auto-encoder or a GAN.
    images, labels
        From `training_images`.
    device : torch device
    samples : int
        Of a GAN.
    scorer : path, optional
        Weights of the classifier that scores them.
    """
    if hasattr(model, "head"):
        seen = np.concatenate([scores.features(model, rows, device) for rows in float_chunks(images)])
        right = int((scores.predictions(model, seen, device).argmax(1) == labels).sum())
        interval = scores.proportion_interval(right, len(labels))
        return {"test_accuracy": right / len(labels), "interval_95": list(interval)}
    if hasattr(model, "decode"):
        errors = np.concatenate([scores.reconstruction_errors(model, rows, device) for rows in float_chunks(images)])
        mean, half = float(errors.mean()), float(1.96 * errors.std() / math.sqrt(len(errors)))
        return {"test_squared_error": mean, "interval_95": [mean - half, mean + half]}
    scored = Classifier(scorer, device=device)
    generate = Generator(model.latent_dim, model.prior, model.generate, device)
    drawn = np.concatenate([scored.features(generate(z)) for z in generate.sample(samples, rng=0).split(ROWS)])
    real = np.concatenate([scored.features(rows) for rows in float_chunks(images)])
    probabilities = scored.probabilities(drawn)
    return {
        "scorer": scored.name,
        "samples": samples,
        "inception_score": scores.inception_score(probabilities, splits=1)[0],
        "inception_score_interval_95": list(scores.inception_interval(probabilities)),
        "frechet_distance": scores.frechet_distance(drawn, real),
        "frechet_distance_interval_95": list(scores.frechet_interval(drawn, real)),
        "frechet_distance_to": f"{len(real)} test images",
    }


def transport_metrics(latent: LatentTransport, codes: np.ndarray, held_out: np.ndarray) -> dict[str, Any]:
    """Metrics of a map to codes, as `transport_report` has them: none of them alone says that a map is good."""
    block = min(_MOST_POINTS, len(held_out) // _BLOCKS)
    cloud = latent.sample(len(held_out)).cpu().numpy()
    score = transport_report({"samples": cloud}, codes, held_out, block)["samples"]
    ratios = {"w2": score.ratio, "spread": score.spread, "coverage": score.coverage, "density": score.density}
    named = {f"{name}_over_that_of_codes": ratio for name, ratio in ratios.items()}
    said: dict[str, Any] = {"held_out_codes": len(held_out), "w2_between_blocks_of": block}
    for name, ratio in (named | {"nearest_code_over_that_of_held_out": score.nearest}).items():
        said |= {name: ratio.value, f"{name}_interval_95": [ratio.low, ratio.high]}
    return said
