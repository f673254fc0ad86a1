"""Grids and rows of images."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from ot_latent.paper.figures import image_grid, image_rows


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
