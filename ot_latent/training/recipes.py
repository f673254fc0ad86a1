"""How every network that ships is trained, as data: the model, its images, rates, epochs at each scale."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


SCALES = ("smoke", "quick", "paper")


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
        A set that `image_sets.training_images` knows.
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
    at_smoke : dict
        Fields that are others at `smoke`, where the network would take more than seconds.
    note : str, optional
        For the card at `quick`: why samples are poor.
    """

    name: str
    summary: str
    kind: str
    epochs: dict[str, int]
    arguments: dict[str, Any] = field(default_factory=dict)
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
    at_smoke: dict[str, Any] = field(default_factory=dict)
    note: str | None = None

    def build(self) -> nn.Module:
        """The network with fresh weights."""
        from ot_latent.models.checkpoints import KINDS

        return KINDS[self.kind](**self.arguments)

    def settings(self) -> dict[str, Any]:
        """What decides the weights, beside the seed, the images and the number of epochs."""
        told = {"name", "summary", "epochs", "scorer", "at_smoke", "note"}
        return {key: value for key, value in asdict(self).items() if key not in told}


@dataclass(frozen=True)
class TransportRecipe:
    """A `LatentTransport` to the codes of a trained auto-encoder.

    The auto-encoder is the one that lies beside the weights to be written, else the shipped one.
    """

    name: str
    summary: str
    autoencoder: str
    iterations: dict[str, int]
    method: str = "minibatch"
    data: str = "mnist"


@dataclass(frozen=True)
class ToyRecipe:
    """The toy of Fig. 2 of Liu 2018: D regressed on one exact dual of 256 points a side (eq. (15))."""

    name: str
    summary: str
    learning_rate: float
    iterations: dict[str, int]
    decay: bool = False
    data: str = "eight_gaussians"


AnyRecipe = Recipe | TransportRecipe | ToyRecipe


def _face_recipes(
    prefix: str, data: str, side: int, channels: int, width: int, epochs: dict[str, int]
) -> tuple[Recipe | TransportRecipe, ...]:
    """Auto-encoder, VAE, WAE-MMD and both potentials of AE-OT on one set of faces, with 100-D codes.

    Liu 2018 trains 300 epochs and does not print its networks. The WAE paper for CelebA: 64-D codes,
    lambda 100. A critic told the codes from noise within three epochs, and no gradient was left.
    """
    what = f"{data} {side}x{side}, 100-D codes"
    network = {"latent_dim": 100, "width": width, "channels": channels, "side": side}
    common: dict[str, Any] = {"epochs": epochs, "data": data, "side": side, "batch": 64, "precision": "bfloat16"}
    return (
        Recipe(f"{prefix}-ae", f"auto-encoder of AE-OT, {what}", "Autoencoder", arguments=network, **common),
        Recipe(f"{prefix}-vae", f"variational auto-encoder, {what}", "VAE", arguments=network, **common),
        Recipe(
            f"{prefix}-wae",
            f"WAE with the MMD penalty, {what}",
            "WAEMMD",
            arguments={**network, "weight": 100.0},
            **common,
        ),
        TransportRecipe(
            f"{prefix}-aeot",
            f"potential D of AE-OT by minibatches (Algorithm 1) on the codes of {prefix}-ae",
            f"{prefix}-ae",
            {"smoke": 50, "quick": 5_000, "paper": 200_000},
            data=data,
        ),
        TransportRecipe(
            f"{prefix}-aeot-semidiscrete",
            f"potential D of AE-OT by semi-discrete transport to all codes of {prefix}-ae",
            f"{prefix}-ae",
            {"smoke": 50, "quick": 2_000, "paper": 20_000},
            method="semidiscrete",
            data=data,
        ),
    )


_TOY_ITERATIONS = {"smoke": 20, "quick": 10_000, "paper": 10_000}


RECIPES: dict[str, AnyRecipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "mnist-classifier",
            "digit classifier behind the scores",
            "DigitClassifier",
            {"smoke": 1, "quick": 6, "paper": 6},
            uses_labels=True,
            betas=(0.9, 0.999),
        ),
        Recipe(
            "mnist-ae",
            "auto-encoder of AE-OT, 64x64, 10-D codes",
            "Autoencoder",
            {"smoke": 1, "quick": 20, "paper": 1000},
        ),
        Recipe(
            "mnist-vae", "variational auto-encoder, 64x64, 10-D codes", "VAE", {"smoke": 1, "quick": 20, "paper": 1000}
        ),
        # The WAE paper's code for MNIST: 8-D codes, batch 100, lambda 10, and 0.05 before the squared
        # error, so that its lambda is 200 here; wider networks; rates 1e-3 and 5e-4 as here.
        Recipe(
            "mnist-wae-gan",
            "WAE-GAN (eq. (13) of Bousquet et al.), 64x64, 10-D codes",
            "WAEGAN",
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
            {"smoke": 1, "quick": 10, "paper": 1000},
            learning_rate=2e-4,
            critic_learning_rate=4e-4,
            precision="bfloat16",
            note="The encoder has learnt to ignore its noise. The divergence of such codes from the prior is "
            "infinite, the critic's estimate of it is not, and it pulls too weakly: codes have half the "
            "prior's spread. Digits are reconstructed well; samples of the prior are fragments.",
        ),
        *(
            # Radford et al.: 64 pixels, 128 channels, batch 128, both rates 2e-4; the code that most take has
            # 25 epochs. Here 32 pixels and 32 channels; critics of higher rates won, and in four epochs
            # batches of 64 made more of the digits than of 128.
            Recipe(
                f"mnist-dcgan-{prior}",
                f"DCGAN, 32x32, {prior} prior, 100-D",
                "DCGAN",
                {"smoke": 1, "quick": 15, "paper": 25},
                {"prior": prior, "width": 32},
                side=32,
                batch=64,
                learning_rate=2e-4,
                critic_learning_rate=5e-5,
                precision="bfloat16",
                decay=False,
                scorer="mnist-classifier",
            )
            for prior in ("uniform", "gaussian")
        ),
        Recipe(
            "icons-dcgan-uniform",
            "DCGAN of icons, 32x32 in colour, uniform prior, 100-D",
            "DCGAN",
            {"smoke": 1, "quick": 120, "paper": 250},
            {"prior": "uniform", "width": 32, "channels": 3},
            data="icons",
            side=32,
            batch=64,
            learning_rate=2e-4,
            precision="bfloat16",
            decay=False,
            scorer="cifar10-classifier",
        ),
        # Gulrajani et al.: 128 channels, batch 64, 200,000 steps of the generator with 5 of the critic
        # each, which are 1,280 epochs of 50,000 images; their rate of 2e-4 falls to zero.
        Recipe(
            "cifar10-wgan-gp",
            "WGAN-GP with residual networks, 32x32 in colour, Gaussian prior, 128-D",
            "WGANGP",
            {"smoke": 1, "quick": 44, "paper": 1280},
            {"width": 32},
            data="cifar10",
            side=32,
            batch=64,
            learning_rate=2e-4,
            betas=(0.0, 0.9),
            critic_steps=5,
            precision="bfloat16",
            decay=False,
            scorer="cifar10-classifier",
            at_smoke={"batch": 16, "arguments": {"width": 16}},
            note="A thirtieth of the paper's epochs, a quarter of its width: objects are hardly recognisable.",
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
        ),
        TransportRecipe(
            "mnist-aeot",
            "potential D of AE-OT by minibatches (Algorithm 1) on the codes of mnist-ae",
            "mnist-ae",
            {"smoke": 50, "quick": 20_000, "paper": 200_000},
        ),
        TransportRecipe(
            "mnist-aeot-semidiscrete",
            "potential D of AE-OT by semi-discrete transport to all codes of mnist-ae",
            "mnist-ae",
            {"smoke": 50, "quick": 5_000, "paper": 20_000},
            method="semidiscrete",
        ),
        ToyRecipe(
            "eight-gaussians",
            "potential D of the eight Gaussians, learning rate 1e-2 as printed",
            1e-2,
            _TOY_ITERATIONS,
        ),
        ToyRecipe(
            "eight-gaussians-slow",
            "the same with learning rate 1e-3 and cosine decay",
            1e-3,
            _TOY_ITERATIONS,
            decay=True,
        ),
        *_face_recipes("celeba", "celeba", 128, 3, 32, {"smoke": 1, "quick": 10, "paper": 300}),
        *_face_recipes("olivetti", "olivetti", 64, 1, 16, {"smoke": 1, "quick": 150, "paper": 300}),
    )
}
