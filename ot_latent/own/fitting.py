"""An auto-encoder and the map from noise to its codes, fitted to images as a plan says."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ot_latent import scores
from ot_latent._storage import hardware
from ot_latent.datasets.image_sets import channels_last
from ot_latent.own.model import ImageModel
from ot_latent.own.plan import Plan, Split, transport
from ot_latent.training.loop import processes, trained


def fitted(
    plan: Plan, split: Split, work: Path, device: torch.device, save_seconds: float, tell: Callable[[str], object]
) -> ImageModel:
    """Auto-encoder and transport, from where they were left in the folder."""
    together, device = processes(device)
    where: dict[str, Any] = {"folder": work / "autoencoder", "together": together, "save_seconds": save_seconds}
    autoencoder, _, state = trained(plan.recipe(), split.fitted, None, plan.epochs, plan.seed, device, **where)
    codes = scores.encode(autoencoder, channels_last(split.fitted), device)
    tell("Transport of noise to the codes.")
    latent = transport(plan.iterations, plan.seed, device)
    latent.fit(codes, work / "map", save_seconds)
    card = {
        "plan": asdict(plan),
        "minutes_of_training": round(state.seconds / 60, 1),
        "hardware": hardware(device),
        "torch": torch.__version__.split("+")[0],
    }
    return ImageModel(autoencoder, latent, torch.from_numpy(codes), card)
