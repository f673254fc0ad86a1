"""Grids, panels and rows of images, and codes along their principal axes."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from ot_latent.paper import figures
from ot_latent.paper.figures import image_grid, image_panels, image_rows, use_style
from ot_latent.paper.transport_figures import draw_principal_plane


def test_the_style_does_not_depend_on_the_users_own():
    with mpl.rc_context():
        use_style()
        before = dict(mpl.rcParams)
        mpl.rcParams.update({"figure.figsize": (2, 2), "savefig.dpi": 30, "text.usetex": True, "axes.grid": True})
        use_style()
        assert dict(mpl.rcParams) == before


def test_images_that_do_not_fill_a_row_are_refused():
    with pytest.raises(ValueError, match="rows of 8"):
        image_grid(None, np.zeros((7, 1, 2, 2)))


def test_rows_of_images_carry_their_names():
    ax = Figure().subplots()
    black, white = np.zeros((3, 1, 4, 5)), np.ones((3, 1, 4, 5))
    image_rows(ax, {"black": black, "white": white})
    assert ax.images[0].get_array().shape == (8, 15)
    assert ax.images[0].get_array()[3:5, 0].tolist() == [0, 1]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["black", "white"]
    assert ax.get_yticks().tolist() == [1.5, 5.5]  # the middle of each row
    with pytest.raises(ValueError, match=r"as many images, got \[2, 3\]"):
        image_rows(ax, {"black": black, "short": white[:2]})


def test_panels_carry_their_names_above():
    axes = Figure().subplots(2)
    image_panels(axes, {"black": np.zeros((4, 1, 2, 3)), "white": np.ones((4, 1, 2, 3))}, columns=2)
    assert [ax.get_title() for ax in axes] == ["black", "white"]
    assert [ax.images[0].get_array().shape for ax in axes] == [(4, 6), (4, 6)]
    with pytest.raises(ValueError, match="shorter|longer"):
        image_panels(axes, {"black": np.zeros((4, 1, 2, 3))}, columns=2)


def test_codes_are_drawn_along_their_longest_axes():
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((500, 4)) * [0.1, 5, 0.1, 1]
    ax = Figure().subplots()
    draw_principal_plane([ax], codes + 10, {"map": codes[:70] + 12})
    shades, lines = ([path.get_extents() for path in drawn.get_paths()] for drawn in ax.collections)
    assert shades[0].width > 3 * shades[0].height > 0  # of nine tenths of the codes
    middle = (lines[0].min + lines[0].max) / 2
    assert np.linalg.norm(shades[0].min + shades[0].max) < 2 < np.linalg.norm(middle)  # about the mean of the codes
    assert (ax.get_title(), ax.get_xlabel()) == ("map", "first principal axis")
    assert ax.get_legend_handles_labels()[1] == ["codes", "mapped noise"]


def test_a_picture_stays_until_it_looks_different(tmp_path):
    path = tmp_path / "x.png"

    def save(x, title="0.123", shade=0.5):
        figure = Figure(figsize=(4, 3))
        ax = figure.subplots()
        ax.plot([0, 1, x], [0, 1, 0.5], "o", color=str(shade))
        ax.set_title(title)
        figures.save(figure, path)
        return path.read_bytes()

    first = save(0.3)
    assert save(0.3 + 1e-9) == first and save(0.3, shade=0.503) == first
    pixel = 1 / (4 * 150 * 0.775)
    assert len({first, save(0.3 + 2 * pixel), save(0.3, "0.124"), save(0.3, shade=0.6)}) == 4
    path.write_bytes(first[:1000])
    assert save(0.3) == first
