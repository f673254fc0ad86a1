"""A notebook refuses wrong parameters before it computes anything."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ot_latent import Run
from ot_latent.figures import image_grid, image_rows
from ot_latent.notebook import checkout

GOOD = {
    "scale": "smoke",
    "seed": 0,
    "train": False,
    "device": "auto",
    "data_dir": None,
    "figures_dir": "../build/figures-test",
}


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"scale": "fast"}, ValueError),
        ({"seed": -1}, TypeError),
        ({"seed": True}, TypeError),
        ({"seed": "1e-3"}, TypeError),
        ({"train": "yes"}, TypeError),
        ({"device": "gpu"}, ValueError),
        ({"data_dir": 3}, TypeError),
        ({"figures_dir": None}, TypeError),
    ],
)
def test_wrong_parameters_are_named(wrong, error):
    with pytest.raises(error, match=next(iter(wrong))):
        Run("04_perturbation_table", **{**GOOD, **wrong})


def test_paths_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Run("04_x", **GOOD).figures_dir == checkout() / "build" / "figures-test"


def test_streams_repeat_and_differ():
    run = Run("04_x", **GOOD)
    first = run.rng(1).random(3)
    np.testing.assert_array_equal(first, run.rng(1).random(3))
    assert (first != run.rng(2).random(3)).any()
    assert run.at(smoke=1, quick=2, paper=3) == 1


def test_a_figure_is_saved_twice_with_the_same_bytes(tmp_path):
    run = Run("04_x", **{**GOOD, "figures_dir": str(tmp_path)})
    fig, ax = plt.subplots()
    image_grid(ax, np.linspace(0, 1, 8 * 3 * 4 * 4).reshape(8, 3, 4, 4), columns=4)
    run.save(fig, "grid")
    before = (tmp_path / "04_grid.png").read_bytes()
    run.save(fig, "grid")
    assert (tmp_path / "04_grid.png").read_bytes() == before
    assert b"Matplotlib" not in before
    plt.close(fig)


def test_images_that_do_not_fill_a_row_are_refused():
    with pytest.raises(ValueError, match="rows of 8"):
        image_grid(None, np.zeros((7, 1, 2, 2)))


def test_rows_of_images_carry_their_names():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    black, white = np.zeros((3, 1, 4, 5)), np.ones((3, 1, 4, 5))
    image_rows(ax, {"black": black, "white": white})
    assert ax.images[0].get_array().shape == (8, 15)
    assert ax.images[0].get_array()[3:5, 0].tolist() == [0, 1]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["black", "white"]
    assert ax.get_yticks().tolist() == [1.5, 5.5]  # the middle of each row
    with pytest.raises(ValueError, match=r"as many images, got \[2, 3\]"):
        image_rows(ax, {"black": black, "short": white[:2]})
