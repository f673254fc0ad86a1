"""One style for all figures, one way to save them, and the plots that notebooks share."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from ot_latent._storage import write_atomically

# One colour a method in all figures: palettes of Okabe and Ito and of Tol, told apart with colour blindness.
COLORS = {
    "prior": "#000000",
    "linear": "#0072B2",
    "slerp": "#E69F00",
    "matched": "#D55E00",
    "codes": "#009E73",
    "noise": "#56B4E9",
    "semi-discrete": "#882255",
    "minibatch": "#CC79A7",
    "VAE": "#332288",
    "AAE": "#999933",
}
LAWS = {"uniform": "#440154", "Gaussian": "#21918C", "Laplace": "#3B528B", "Student t(3)": "#5EC962", "Cauchy": "0.5"}


def use_style() -> None:
    """Set matplotlib's defaults for every notebook, whatever the user's own are."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    plt.rcdefaults()
    sns.set_theme("notebook", "ticks", list(COLORS.values()))
    plt.style.use(Path(__file__).with_suffix(".mplstyle"))


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG without dates or versions: the same figure gives the same bytes.

    A picture that is there stays if the new one looks the same: on other machines last digits differ, and with
    them shades of a few pixels.
    """
    settings = {"dpi": 150, "bbox_inches": "tight", "metadata": {"Software": None}}

    def write(file: Path) -> None:
        figure.savefig(file, format="png", **settings)
        if path.is_file() and _look_the_same(path, file):
            file.write_bytes(path.read_bytes())

    write_atomically(path, write)


def _look_the_same(one: Path, two: Path) -> bool:
    """Whether no square of 8 x 8 pixels differs by more than 2 of 255 levels in the mean: a mark moved by one does."""
    try:
        first, second = (imread(path, format="png").astype(float) for path in (one, two))
    except (OSError, SyntaxError, ValueError):  # damaged
        return False
    if first.shape != second.shape:
        return False
    difference = np.abs(first - second).mean(2)
    rows, columns = (np.arange(0, size, 8) for size in difference.shape)
    sums = np.add.reduceat(np.add.reduceat(difference, rows, 0), columns, 1)
    return bool(sums.max() <= 64 * 2 / 255)


def image_grid(ax: Axes, images: Any, columns: int = 8) -> None:
    """Draw images side by side.

    Parameters
    ----------
    images : (n, 1, h, w) or (n, 3, h, w) array or tensor
        Values in [0, 1]; n a multiple of ``columns``.

    Raises
    ------
    ValueError
        If the last row is not full.
    """
    images = np.asarray(images)
    count, channels, height, width = images.shape
    if count % columns:
        raise ValueError(f"{count} images do not fill rows of {columns}; pass a multiple")
    rows = images.reshape(-1, columns, channels, height, width)
    picture = rows.transpose(0, 3, 1, 4, 2).reshape(-1, columns * width, channels)
    ax.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()


def image_panels(axes: Iterable[Axes], panels: Mapping[str, Any], columns: int = 8) -> None:
    """Draw one grid of images into each of several axes, under its name.

    Parameters
    ----------
    axes : as many as there are panels
    panels : mapping of names to arrays or tensors
        As in `image_grid`.
    columns : int
        Images side by side in each grid.
    """
    for ax, (name, images) in zip(axes, panels.items(), strict=True):
        image_grid(ax, images, columns)
        ax.set_title(name)


def image_rows(ax: Axes, rows: Mapping[str, Any]) -> None:
    """Draw rows of images, each with its name at the left.

    Parameters
    ----------
    rows : mapping of names to (n, 1, h, w) or (n, 3, h, w) arrays or tensors
        As in `image_grid`, as many images in each row.

    Raises
    ------
    ValueError
        If rows differ in length.
    """
    images = [np.asarray(row) for row in rows.values()]
    counts = {len(row) for row in images}
    if len(counts) != 1:
        raise ValueError(f"all rows must hold as many images, got {sorted(counts)}")
    image_grid(ax, np.concatenate(images), columns=counts.pop())
    height = images[0].shape[2]
    ax.set_axis_on()
    ax.set(xticks=[], yticks=[height * (i + 0.5) - 0.5 for i in range(len(rows))])
    ax.set_yticklabels(rows)
    ax.tick_params(left=False)
    ax.spines[:].set_visible(False)
