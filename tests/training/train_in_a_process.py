"""Small recipes, for tests that kill a training or start several of it."""

import operator
import os
from pathlib import Path

import torch

from ot_latent import training
from ot_latent.models import checkpoints
from ot_latent.models.autoencoders import WAEGAN
from ot_latent.training.recipes import RECIPES, Recipe


class Plain(WAEGAN):
    """Without noise and batch norm, so that its gradient is the mean over the parts of a batch."""

    def __init__(self):
        super().__init__(2, 1)
        self.config = {}
        self.encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64 * 64, 2))
        self.decoder = torch.nn.Sequential(
            torch.nn.Linear(2, 64 * 64), torch.nn.Sigmoid(), torch.nn.Unflatten(1, (1, 64, 64))
        )
        self.critic = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Flatten(0))

    def _codes(self, images):
        codes = self.encode(images)
        return codes, codes.detach().roll(1, 1)


SMALL = (
    Recipe("plain", "", "Plain", {"smoke": 3, "paper": 3}, batch=32),
    # with noise, batch norm and a critic
    Recipe("noisy", "", "AVB", {"smoke": 3, "paper": 3}, {"width": 1}, batch=8),
    Recipe(
        "steady",
        "",
        "DCGAN",
        {"smoke": 1, "paper": 1},
        {"width": 1},
        side=32,
        batch=16,
        critic_steps=2,
        precision="bfloat16",
        decay=False,
        scorer="mnist-classifier",
    ),
)


def prepare(setitem=operator.setitem) -> None:
    """Let `training` know the small recipes."""
    setitem(checkpoints.KINDS, "Plain", Plain)
    for recipe in SMALL:
        setitem(RECIPES, recipe.name, recipe)


def train(name: str, folder: Path, scale: str = "smoke", **settings) -> Path:
    """Weights of a recipe, trained in a folder on few images."""
    return training.train(name, scale, build=folder / "build", images=160, **settings)


def train_alone(name: str, folder: Path, environment: dict[str, str]) -> None:
    """What a process of its own does."""
    os.environ.update(environment)
    prepare()
    train(name, folder, device="cpu", save_seconds=0)
