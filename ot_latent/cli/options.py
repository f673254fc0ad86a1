"""Options that commands share, and errors as one line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click


@contextmanager
def one_line(*expected: type[Exception]) -> Iterator[None]:
    """Turn errors that a user can mend, those of files always, into one message without a traceback."""
    try:
        yield
    except ModuleNotFoundError as error:
        extra = {"h5py": "data", "lmdb": "data", "distributed": "cluster"}.get(error.name or "", "notebooks")
        raise click.ClickException(
            f"{error.name} is not installed. Remedy: pip install 'ot-latent[{extra}]'"
        ) from error
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


scale = click.option(
    "--scale",
    type=click.Choice(["smoke", "quick", "paper"]),
    default="quick",
    show_default=True,
    help="Seconds, minutes, or the papers' own sample counts and epochs.",
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
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that holds the data sets [default: $OT_LATENT_DATA, then the user's cache].",
)

figures_dir = click.option(
    "--figures-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of figures and results [default: figures; build/figures-SCALE with other settings].",
)

keep = click.option("--keep", is_flag=True, help="Replace what is committed in data/.")
