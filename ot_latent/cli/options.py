"""Options that commands share, and errors as one line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ot_latent._storage import missing


@contextmanager
def one_line(*expected: type[Exception]) -> Iterator[None]:
    """Turn errors that a user can mend, those of files always, into one message without a traceback."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise click.ClickException(missing(error.name)) from error
    except BrokenPipeError:  # of a reader such as `head`, which has seen enough
        raise
    except (OSError, *expected) as error:
        read_only = getattr(error, "errno", None) in (errno.EACCES, errno.EROFS)
        remedy = ". Remedy: work in a copy of the checkout that you may write" if read_only else ""
        raise click.ClickException(f"{error}{remedy}") from error


@contextmanager
def notes() -> Iterator[None]:
    """Print warnings as notes, as they come."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: click.echo(f"Note: {message}", err=True)
        yield


POSITIVE, PRECISION = click.IntRange(min=1), click.Choice(["float32", "bfloat16"])
PATH, EXISTING = click.Path(path_type=Path), click.Path(exists=True, path_type=Path)
FOLDER, EXISTING_FOLDER = (click.Path(exists=there, file_okay=False, path_type=Path) for there in (False, True))

_SCALES, _SAMPLES = click.Choice(["smoke", "quick", "paper"]), "the papers' own sample counts and epochs"
scale = click.option(
    "--scale", type=_SCALES, default="quick", show_default=True, help=f"Seconds, minutes, or {_SAMPLES}."
)

seed = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)


def _checked_device(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from ot_latent.training.devices import check_device

    try:
        check_device(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


device = click.option(
    "--device", default="auto", show_default=True, callback=_checked_device, help="auto, cpu, cuda, cuda:N or mps."
)

data_dir = click.option(
    "--data-dir",
    type=EXISTING_FOLDER,
    help="Folder that holds the data sets [default: $OT_LATENT_DATA, then the user's cache].",
)

figures_dir = click.option(
    "--figures-dir",
    type=FOLDER,
    help="Folder of figures and results [default: figures; build/figures-SCALE with other settings].",
)

keep = click.option("--keep", is_flag=True, help="Replace what is committed in data/.")
