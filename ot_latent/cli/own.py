"""Commands for people's own images and codes."""

from pathlib import Path
from typing import Any

import click

from ot_latent.cli import options

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_model = click.argument("model", type=options.EXISTING)


@click.command()
@click.argument("source", type=options.PATH)
@click.option("--out", type=options.FOLDER, required=True, help="Folder of the model.")
@click.option("--side", type=click.Choice([32, 64, 128]), help="Of the images in the model, in pixels.")
@click.option("--channels", type=click.Choice([1, 3]), help="1 for grey images, 3 for colour.")
@click.option("--latent-dim", type=click.IntRange(1, 2048), help="Dimension of the codes.")
@click.option("--width", type=click.IntRange(4, 512), help="Channels of the first convolution.")
@click.option("--mirrored/--not-mirrored", default=None, help="Show images mirrored, too.")
@click.option("--epochs", type=options.POSITIVE, help="Passes over the images, instead of --minutes.")
@click.option("--iterations", type=options.POSITIVE, help="Steps of the map from noise to codes.")
@click.option("--batch", type=click.IntRange(min=2), help="Images in a step.")
@click.option("--precision", type=options.PRECISION, help="Of the networks.")
@click.option("--minutes", type=click.FloatRange(min=0.01), default=7.0, show_default=True, help="Of training.")
@options.seed
@options.device
def fit(source: Path, out: Path, seed: int, device: str, minutes: float, **plan: Any) -> None:
    """Make a model of your own images: SOURCE is a folder of them or a zip, or a .npy file of codes.

    What is not given is chosen from the images, and printed. The folder --out gets the model, new images
    (samples.png), reconstructions.png, a walk that moves (walk.gif) and a report in words. A run that was killed goes
    on when it is started again. Codes of your own encoder, (n, d), get a map, samples.npy and the report.

    \b
    Example:
      ot-latent fit photos/ --out model/
    """
    settings = {k: v for k, v in plan.items() if v is not None}
    with options.one_line(ValueError, RuntimeError), options.notes():
        from ot_latent import own

        if source.suffix == ".npy":
            if given := [name for name in settings if name != "iterations"]:
                raise click.UsageError(f"--{given[0].replace('_', '-')} is for images, and {source} holds codes")
            own.fit_codes(source, out, seed=seed, device=device, **settings)
        else:
            own.fit_images(source, out, minutes=minutes, seed=seed, device=device, tell=click.echo, **settings)
    click.echo(f"\n{(out / 'report.md').read_text(encoding='utf-8')}")
    for path in sorted(out.glob("*.*")):
        if path.suffix != ".lock":
            click.echo(path)


@click.command()
@_model
@click.option("-n", type=options.POSITIVE, default=64, show_default=True, help="How many.")
@click.option("--out", type=options.PATH, default=Path("samples.png"), show_default=True)
@options.seed
def sample(model: Path, n: int, out: Path, seed: int) -> None:
    """Draw new images of MODEL, a folder that `fit` filled, side by side in a picture.

    With another --seed they are others.

    \b
    Example:
      ot-latent sample model/ -n 64 --out samples.png
    """
    with options.one_line(ValueError):
        from ot_latent.own import pictures

        images = _loaded(model).sample(n, seed)
        click.echo(pictures.save(out, [pictures.sheet(images)]))


@click.command()
@_model
@click.argument("first", type=_FILE)
@click.argument("second", type=_FILE)
@click.option("--steps", type=click.IntRange(min=2), default=9, show_default=True, help="Images, with both ends.")
@click.option("--out", type=options.PATH, default=Path("walk.png"), show_default=True)
def interpolate(model: Path, first: Path, second: Path, steps: int, out: Path) -> None:
    """Walk from the image FIRST to SECOND by matched interpolation of their codes in MODEL.

    The images stand side by side in a .png; in a .gif or .webp they move.

    \b
    Example:
      ot-latent interpolate model/ a.png b.png --out walk.gif
    """
    with options.one_line(ValueError):
        from ot_latent.own import pictures

        images = _loaded(model).interpolate([first], [second], steps)
        frames = [pictures.sheet(image) for image in images] if out.suffix in pictures.ANIMATED else None
        click.echo(pictures.save(out, frames or [pictures.sheet(images[:, 0], steps)]))


def _loaded(path: Path) -> Any:
    from ot_latent.own import ImageModel
    from ot_latent.saved import load

    model = load(path)
    if not isinstance(model, ImageModel):
        raise ValueError(f"{path} holds a {type(model).__name__}, not a model of images")
    return model
