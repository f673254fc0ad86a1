"""Training steps at 64 pixels: images a second of every model, and of the same network in pythae.

Prints the table and writes it to benchmarks/training.md.

    python benchmarks/training.py --pythae FOLDER   # where `pip install --target FOLDER pythae` put it
    python benchmarks/training.py --device cuda
    python benchmarks/training.py --steps 1 --batch 8   # a look

pythae's models get our encoder and decoder, so that what is compared is the loss and the step around them.
"""

import pathlib
import sys
from dataclasses import replace

import torch
from _report import fastest, machine, parser, table
from accelerate import PartialState

from ot_latent.training.batches import Batches
from ot_latent.training.loop import Training
from ot_latent.training.recipes import RECIPES


def recipes(width):
    """Every kind of model of images, at 64 pixels."""
    for name in ("mnist-ae", "mnist-vae", "mnist-wae-gan", "mnist-wae-mmd", "mnist-avb"):
        yield RECIPES[name]
    for name, batch in (("mnist-dcgan-gaussian", 64), ("cifar10-wgan-gp", 8)):
        recipe = RECIPES[name]
        arguments = recipe.arguments | {"side": 64, "width": width, "channels": 1 if name.startswith("mnist") else 3}
        yield replace(recipe, side=64, arguments=arguments, batch=batch)


def best(step, repeats, device):
    """Least seconds of a step, after one to warm up."""

    def finished():
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    finished()
    return fastest({"step": finished}, repeats)["step"]


def one_step(recipe, batch, device):
    """A function that takes a step of the loop on random images."""
    torch.manual_seed(0)
    model = recipe.build().to(device, memory_format=torch.channels_last).train()
    # networks of CIFAR-10 know no other channels, so that their recipes do not name them
    channels = recipe.arguments.get("channels", 3 if recipe.data == "cifar10" else 1)
    shape, turns = (channels, recipe.side, recipe.side), recipe.critic_steps
    images = torch.randint(256, (batch * turns, *shape), dtype=torch.uint8).numpy()
    labels = torch.randint(10, (len(images),)).numpy() if recipe.uses_labels else None
    batches = Batches(images, labels, batch=batch, turns=turns, seed=0, device=device, share=(0, 1))
    together = PartialState(cpu=device.type == "cpu")
    training = Training(recipe, model, batches, 1, folder=None, together=together, save_seconds=60)
    return lambda: training.take(0, batches(0))


def ours(recipe, batch, repeats, device):
    """Images that a second of the loop trains on. With a critic, images of its batches count."""
    return batch * recipe.critic_steps / best(one_step(recipe, batch, device), repeats, device)


def pythae_model(recipe):
    """The model of a recipe in pythae with our networks, or None."""
    from pythae import models
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    pairs = {
        "Autoencoder": (models.AE, models.AEConfig),
        "VAE": (models.VAE, models.VAEConfig),
        "WAEMMD": (models.WAE_MMD, models.WAE_MMD_Config),
    }
    if recipe.kind not in pairs:
        return None
    built = recipe.build()

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.network = built.encoder

        def forward(self, x):
            parts = self.network(x).chunk(2, dim=1) if built.gaussian else [self.network(x)]
            return ModelOutput(**dict(zip(("embedding", "log_covariance"), parts, strict=False)))

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.network = built.decoder

        def forward(self, z):
            return ModelOutput(reconstruction=self.network(z))

    model, config = pairs[recipe.kind]
    return model(config(input_dim=(1, 64, 64), latent_dim=10), Encoder(), Decoder())


def theirs(recipe, batch, repeats, device):
    """Images that a second of pythae's model trains on, or None where it has no such model."""
    model = pythae_model(recipe)
    if model is None:
        return None
    model = model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    images = torch.rand(batch, 1, 64, 64, device=device)

    def step():
        optimizer.zero_grad()
        model({"data": images}).loss.backward()
        optimizer.step()

    return batch / best(step, repeats, device)


def main():
    command = parser(__file__, __doc__)
    command.add_argument("--pythae", type=pathlib.Path)
    command.add_argument("--device", default="cpu")
    command.add_argument("--steps", type=int, default=10)
    command.add_argument("--batch", type=int)
    command.add_argument("--width", type=int, default=32, help="of DCGAN and WGAN-GP (default: %(default)s)")
    arguments = command.parse_args()
    device = torch.device(arguments.device)
    if arguments.pythae:
        sys.path.append(str(arguments.pythae))
    busy = machine()
    rows = []
    for recipe in recipes(arguments.width):
        batch = arguments.batch or recipe.batch
        full, half = (
            ours(replace(recipe, precision=precision), batch, arguments.steps, device)
            for precision in ("float32", "bfloat16")
        )
        peer = theirs(recipe, batch, arguments.steps, device) if arguments.pythae else None
        shown = ["-", "-"] if peer is None else [f"{peer:,.1f}", f"{full / peer:.2f}"]
        rows.append([recipe.kind, batch, f"{full:,.1f}", f"{half:,.1f}", f"{half / full:.2f}", *shown])
        print(rows[-1], flush=True)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    header = ["model", "batch", "float32", "bfloat16", "ratio", "pythae", "float32 to pythae"]
    text = (
        f"# Training at 64 pixels\n\nImages a second, {where}, torch {torch.__version__}. DCGAN and WGAN-GP with "
        f"width {arguments.width}; images of a critic's batches count, five to a step of WGAN-GP's generator. pythae: "
        "the same networks in its models, float32, where it has the model.\n\n"
        f"{busy}\n\n"
        "## Images a second\n\n" + table(header, rows)
    )
    print(text)
    arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
