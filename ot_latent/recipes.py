"""How each network is trained: recipes as data, by name. `training.train` follows them.

The papers' settings are the defaults; where their code differs, a comment names what it has. A run at
`quick` is what weights are shipped of, `paper` has the paper's number of epochs, `smoke` shows in
seconds that everything works.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Recipe:
    """A network trained on images, alone or against its critic.

    Parameters
    ----------
    kind : str
        Which of `checkpoints.KINDS`.
    epochs : dict of str to int
        Passes over the data at each scale. With a critic, a pass shows it each image once.
    arguments : dict
        Of the kind.
    data : str
        A set that `training.training_images` knows.
    side : int
        Of the images, in pixels.
    batch : int
        Images in a step, over all processes together. The rest of an epoch that does not fill a batch
        is left out.
    critic_learning_rate : float, optional
        By default ``learning_rate``.
    betas : (float, float)
        Of Adam, for both players.
    critic_steps : int
        Steps of the critic, each with a batch of its own, before each of the other; the last of these
        batches is the other's, too.
    precision : "float32" or "bfloat16"
        In which the networks compute; losses are float32 always. Processors without
        instructions for bfloat16 are slow at it.
    decay : bool
        Lower the learning rates to zero along half a cosine.
    scorer : str, optional
        The classifier's recipe under which samples of a generator are scored for the card.
    half : bool
        Ship the weights as 16-bit numbers.
    at_smoke : dict
        Fields that are others at `smoke`, where the network would take more than seconds.
    minutes, minutes_on_gpu : float, optional
        Measured at `quick` on two cores and on one GPU.
    """

    name: str
    summary: str
    kind: str
    epochs: dict[str, int]
    arguments: dict = field(default_factory=dict)
    data: str = "mnist"
    side: int = 64
    uses_labels: bool = False
    batch: int = 128
    learning_rate: float = 1e-3
    critic_learning_rate: float | None = None
    betas: tuple[float, float] = (0.5, 0.999)
    critic_steps: int = 1
    precision: str = "float32"
    decay: bool = True
    scorer: str | None = None
    half: bool = False
    at_smoke: dict = field(default_factory=dict)
    minutes: float | None = None
    minutes_on_gpu: float | None = None

    def build(self) -> nn.Module:
        """The network with fresh weights."""
        from ot_latent.checkpoints import KINDS

        return KINDS[self.kind](**self.arguments)

    def settings(self, epochs: int) -> dict:
        """What decides the weights that so many epochs give, beside the seed and the images."""
        told = {
            "name",
            "summary",
            "epochs",
            "scorer",
            "half",
            "at_smoke",
            "minutes",
            "minutes_on_gpu",
        }
        decided = {key: value for key, value in asdict(self).items() if key not in told}
        # at a constant rate a run can be prolonged
        return decided | ({"epochs": epochs} if self.decay else {})


@dataclass(frozen=True)
class TransportRecipe:
    """A `brenier.LatentTransport` to the codes of a trained auto-encoder.

    The auto-encoder is the one that lies beside the weights to be written, else the shipped one.
    """

    name: str
    summary: str
    autoencoder: str
    iterations: dict[str, int]
    method: str = "minibatch"
    data: str = "mnist"
    minutes: float | None = None
    minutes_on_gpu: float | None = None


@dataclass(frozen=True)
class ToyRecipe:
    """Fig. 2 of Liu 2018: D regressed on one exact dual of 256 points a side (eq. (15))."""

    name: str
    summary: str
    learning_rate: float
    iterations: dict[str, int]
    decay: bool = False
    data: str = "eight_gaussians"
    minutes: float | None = None
    minutes_on_gpu: float | None = None


_TOY_ITERATIONS = {"smoke": 20, "quick": 10_000, "paper": 10_000}

RECIPES: dict[str, Recipe | TransportRecipe | ToyRecipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "mnist-classifier",
            "digit classifier behind the scores",
            "DigitClassifier",
            {"smoke": 1, "quick": 6, "paper": 6},
            uses_labels=True,
            betas=(0.9, 0.999),
            minutes=2,
        ),
        Recipe(
            "mnist-ae",
            "auto-encoder of AE-OT, 64x64, 10-D codes",
            "Autoencoder",
            {"smoke": 1, "quick": 20, "paper": 1000},
            minutes=20,
        ),
        Recipe(
            "mnist-vae",
            "variational auto-encoder, 64x64, 10-D codes",
            "VAE",
            {"smoke": 1, "quick": 20, "paper": 1000},
            minutes=20,
        ),
        # The WAE paper's code for MNIST: 8-D codes, batch 100, lambda 10, and 0.05 before the squared
        # error, so that its lambda is 200 here; wider networks; rates 1e-3 and 5e-4 as here.
        Recipe(
            "mnist-wae-gan",
            "WAE-GAN (eq. (13) of Bousquet et al.), 64x64, 10-D codes",
            "POT",
            {"smoke": 1, "quick": 20, "paper": 100},
            {"weight": 10.0},
            critic_learning_rate=5e-4,
            precision="bfloat16",
        ),
        Recipe(
            "mnist-wae-mmd",
            "WAE with the MMD penalty, 64x64, 10-D codes",
            "WAEMMD",
            {"smoke": 1, "quick": 20, "paper": 100},
            {"weight": 10.0},
            precision="bfloat16",
        ),
        # AVB's code for MNIST: 8-D codes, noise 32, batch 128, rates 5e-5 and 1e-4.
        Recipe(
            "mnist-avb",
            "adversarial variational Bayes, 64x64, 10-D codes",
            "AVB",
            {"smoke": 1, "quick": 20, "paper": 1000},
            learning_rate=2e-4,
            critic_learning_rate=4e-4,
            precision="bfloat16",
        ),
        *(
            # Radford et al.: batch 128, rate 2e-4, betas (0.5, 0.999); the code that most take has 25 epochs.
            Recipe(
                f"mnist-dcgan-{prior}",
                f"DCGAN, 32x32, {prior} prior, 100-D",
                "DCGAN",
                {"smoke": 1, "quick": 25, "paper": 25},
                {"side": 32, "channels": 1, "latent_dim": 100, "prior": prior},
                side=32,
                learning_rate=2e-4,
                decay=False,
                precision="bfloat16",
                scorer="mnist-classifier",
                half=True,
            )
            for prior in ("uniform", "gaussian")
        ),
        Recipe(
            "icons-dcgan-uniform",
            "DCGAN of icons, 32x32 in colour, uniform prior, 100-D",
            "DCGAN",
            {"smoke": 1, "quick": 200, "paper": 200},
            {"side": 32, "channels": 3, "latent_dim": 100, "prior": "uniform"},
            data="icons",
            side=32,
            learning_rate=2e-4,
            decay=False,
            precision="bfloat16",
            scorer="cifar10-classifier",
            half=True,
        ),
        # Gulrajani et al.: 200,000 steps of the generator in their code. An epoch of 50,000 images has 156.
        Recipe(
            "cifar10-wgan-gp",
            "WGAN-GP with residual networks, 32x32 in colour, Gaussian prior, 128-D",
            "WGANGP",
            {"smoke": 1, "quick": 20, "paper": 1282},
            {"side": 32, "channels": 3, "latent_dim": 128, "prior": "gaussian"},
            data="cifar10",
            side=32,
            batch=64,
            learning_rate=1e-4,
            betas=(0.0, 0.9),
            critic_steps=5,
            decay=False,
            precision="bfloat16",
            scorer="cifar10-classifier",
            half=True,
            at_smoke={"batch": 16, "arguments": {"width": 16}},
        ),
        Recipe(
            "cifar10-classifier",
            "classifier of CIFAR-10 behind the scores of images in colour",
            "CifarClassifier",
            {"smoke": 1, "quick": 20, "paper": 20},
            data="cifar10",
            side=32,
            uses_labels=True,
            learning_rate=2e-3,
            betas=(0.9, 0.999),
            precision="bfloat16",
            half=True,
        ),
        *(
            # Of CelebA the WAE paper's code has: 64-D codes, batch 100, 50 epochs, lambda 100 (500 on
            # images in [0, 1] without its 0.05 before the squared error), rates 5e-4 and 1e-3.
            Recipe(
                f"{data}-{name}",
                f"{what} of {faces}, {side}x{side} in colour, 100-D codes",
                kind,
                {"smoke": 1, "quick": quick, "paper": paper},
                {"latent_dim": 100, "width": 24, "channels": 3, "side": side, **more},
                data=images,
                side=side,
                critic_learning_rate=5e-4,
                precision="bfloat16",
                half=True,
            )
            for data, images, faces, side, quick in (
                ("faces", "drawn_faces", "drawn faces", 64, 30),
                ("celeba", "celeba", "CelebA", 128, 5),
            )
            for name, kind, what, paper, more in (
                ("ae", "Autoencoder", "auto-encoder", 300, {}),
                ("vae", "VAE", "variational auto-encoder", 300, {}),
                ("wae", "POT", "WAE-GAN", 50, {"weight": 100.0}),
            )
        ),
        TransportRecipe(
            "mnist-aeot",
            "potential D of AE-OT by Algorithm 1 on the codes of mnist-ae",
            "mnist-ae",
            {"smoke": 50, "quick": 20_000, "paper": 200_000},
            minutes=5,
        ),
        TransportRecipe(
            "mnist-aeot-semidiscrete",
            "potential D of AE-OT by exact transport to all codes of mnist-ae",
            "mnist-ae",
            {"smoke": 50, "quick": 5_000, "paper": 20_000},
            method="semidiscrete",
            minutes=30,
        ),
        ToyRecipe(
            "eight-gaussians",
            "potential D of the eight Gaussians, learning rate 1e-2 as printed",
            1e-2,
            _TOY_ITERATIONS,
            minutes=2,
        ),
        ToyRecipe(
            "eight-gaussians-slow",
            "the same with learning rate 1e-3 and cosine decay",
            1e-3,
            _TOY_ITERATIONS,
            decay=True,
            minutes=2,
        ),
    )
}
