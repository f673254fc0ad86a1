"""Every recipe trains at `smoke`, on few images; what is learnt, what the card says, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from image_files import encoded, icons, photo, put_hdf5, put_lmdb, put_zip

from ot_latent import datasets, scores
from ot_latent._loop import DivergenceError
from ot_latent.datasets import image_sets
from ot_latent.models import checkpoints, classifiers
from ot_latent.training.recipes import RECIPES, Recipe, TransportRecipe, recipe_hash

NETWORKS = [name for name, recipe in RECIPES.items() if isinstance(recipe, Recipe)]
POTENTIALS = [name for name, recipe in RECIPES.items() if isinstance(recipe, TransportRecipe)]


def lend_a_scorer(folder):
    """A classifier of images in colour that has learnt nothing."""
    torch.manual_seed(0)
    model = classifiers.CifarClassifier(4)
    card = {"metrics": {"test_accuracy": 0.1}}
    checkpoints.save(folder / "cifar10-classifier.safetensors", model, card)


@pytest.fixture(scope="session")
def brought(tmp_path_factory):
    """What users have to bring, CelebA, LSUN and LLD, in the official layout but with a few smooth pictures."""
    folder = tmp_path_factory.mktemp("brought")
    faces = {f"img_align_celeba/{i + 1:06}.jpg": encoded(photo(i)) for i in range(200)}
    put_zip(folder / "celeba" / "img_align_celeba.zip", faces)
    rooms = [encoded(photo(i, 90, 70), "WEBP") for i in range(200)]
    put_lmdb(folder / "lsun_bedrooms" / "bedroom_train_lmdb", rooms[:160])
    put_lmdb(folder / "lsun_bedrooms" / "bedroom_val_lmdb", rooms[160:])
    put_hdf5(folder / "lld_icons" / "LLD-icon.hdf5", icons(200))
    return folder


@pytest.fixture
def smaller(monkeypatch, brought):
    """Keywords of a training that finds `brought`, and takes its sets for whole."""
    monkeypatch.setattr(image_sets, "CELEBA_TRAIN", 160)
    monkeypatch.setattr(image_sets, "CELEBA_TEST", 40)
    sources = {
        "celeba": {"img_align_celeba.zip": 200},
        "lsun_bedrooms": {"bedroom_train_lmdb": 160, "bedroom_val_lmdb": 40},
        "lld_icons": {"LLD-icon.hdf5": 0},
    }
    for name, counts in sources.items():
        monkeypatch.setitem(datasets.DATASETS, name, replace(datasets.DATASETS[name], sources=counts))
    return lambda data: {"data_dir": brought} if data in sources else {}


@pytest.mark.filterwarnings("ignore::ot_latent.datasets.PartialDataWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_every_recipe_of_images_trains_at_smoke(workshop, smaller, name):
    if RECIPES[name].scorer == "cifar10-classifier":
        lend_a_scorer(workshop.folder)
    try:
        # the recipe's own precision once: processors without instructions for it are slow
        own = {"precision": RECIPES[name].precision} if name == "mnist-wae-mmd" else {}
        path = workshop.train(name, images=160, out=workshop.folder, **own, **smaller(RECIPES[name].data))
    except datasets.MissingDataError as error:
        pytest.skip(str(error).splitlines()[0])
    card, model = checkpoints.read_card(path), checkpoints.load(path)
    assert card["epochs"] == 1 and card["images"] == 160
    assert card["epochs_at_scale_paper"] == RECIPES[name].epochs["paper"]
    assert card["precision"] == own.get("precision", "float32")
    assert {"recipe", "scale", "seed", "hardware", "minutes", "data"} <= card.keys()
    assert card["data"]["terms"]
    assert not hasattr(model, "critic")  # it is not shipped
    [epoch] = workshop.log(name)
    assert all(map(np.isfinite, epoch.values())) and card["metrics"]["train"] == epoch
    assert (workshop.run(name) / "losses.png").stat().st_size > 1_000
    for key in ("interval_95", "frechet_distance_interval_95", "inception_score_interval_95"):
        if key in card["metrics"]:
            low, high = card["metrics"][key]
            assert low <= high
    on_disk = path.stat().st_size / sum(value.numel() for value in model.state_dict().values())
    assert on_disk < 2.2  # 16 bits a number


@pytest.mark.parametrize("name", ["mnist-ae", "mnist-vae", "mnist-wae-gan", "mnist-wae-mmd", "mnist-avb"])
def test_training_lowers_the_loss_and_the_card_tells_the_error(workshop, name):
    path = workshop.train(name, epochs=4)
    losses = [line["loss"] for line in workshop.log(name)]
    assert losses[-1] < 0.97 * losses[0]
    assert losses == sorted(losses, reverse=True)
    model, card = checkpoints.load(path), checkpoints.read_card(path)
    images = scores.decode(model, torch.randn(8, 10))
    assert images.shape == (8, 1, 64, 64)
    squares = datasets.to_square(datasets.mnist("test")[0][:128])
    error = scores.reconstruction_errors(model, squares).mean()
    # the card's images are rounded to bytes
    assert card["metrics"]["test_squared_error"] == pytest.approx(error, rel=1e-3)
    assert card["data"]["md5"].keys() == {file.name for file in datasets.DATASETS["mnist"].files}


def test_the_classifier_learns(workshop):
    card = checkpoints.read_card(workshop.train("mnist-classifier", epochs=8))
    low, high = card["metrics"]["interval_95"]
    assert low > 0.5  # chance is 0.1
    assert low < card["metrics"]["test_accuracy"] < high


def test_the_card_of_a_generator_holds_its_scores_under_a_named_scorer(workshop):
    path = workshop.train("mnist-dcgan-gaussian")
    metrics = checkpoints.read_card(path)["metrics"]
    assert metrics["scorer"].startswith("mnist-classifier (test accuracy 99.")
    low, high = metrics["frechet_distance_interval_95"]
    assert low < metrics["frechet_distance"] < high and low > 0
    assert 1 <= metrics["inception_score"] <= 10
    assert metrics["samples"] == 128 and metrics["frechet_distance_to"] == "128 test images"


def test_a_scorer_that_is_not_there_is_missed_before_training(workshop, monkeypatch):
    recipe = replace(RECIPES["mnist-dcgan-gaussian"], scorer="none")
    monkeypatch.setitem(RECIPES, recipe.name, recipe)
    with pytest.raises(FileNotFoundError, match="no shipped checkpoint 'none'"):
        workshop.train(recipe.name)
    assert not list(workshop.run(recipe.name).glob("state*"))


class Fragile(torch.nn.Module):
    """Its loss is NaN from the 13th step on."""

    config: dict = {}

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.steps = 0

    def loss(self, images):
        self.steps += 1
        error = (images.mean() - self.weight).square()
        return {"loss": error * (float("nan") if self.steps >= 13 else 1), "error": error}


def test_a_run_that_diverges_stops_with_step_losses_and_the_last_good_state(workshop, monkeypatch):
    monkeypatch.setitem(checkpoints.KINDS, "Fragile", Fragile)
    recipe = Recipe("fragile", "", "Fragile", {"smoke": 1, "paper": 1}, batch=16)
    monkeypatch.setitem(RECIPES, "fragile", recipe)
    said = r"(?s)step 13 of 32: \{'loss': nan, 'error': 0\..*state-000000010"
    with pytest.raises(DivergenceError, match=said):
        workshop.train("fragile", save_seconds=0)


def test_weights_that_are_not_finite_are_not_kept(workshop, monkeypatch):
    class Exploding(Fragile):
        def loss(self, images):
            # finite itself; its gradient is not
            return {"loss": (self.weight - self.weight.detach()).abs().sqrt()}

    monkeypatch.setitem(checkpoints.KINDS, "Fragile", Exploding)
    recipe = Recipe("fragile", "", "Fragile", {"smoke": 1, "paper": 1})
    monkeypatch.setitem(RECIPES, "fragile", recipe)
    with pytest.raises(DivergenceError, match="step 2 of 4|weights are not finite"):
        workshop.train("fragile", save_seconds=0)
    assert not list(workshop.run("fragile").glob("state*"))


def test_transport_is_trained_on_the_codes(workshop, monkeypatch):
    monkeypatch.setitem(RECIPES["mnist-aeot"].iterations, "smoke", 30)
    model = checkpoints.load(workshop.train("mnist-ae"))
    path = workshop.train("mnist-aeot")
    card, potential = checkpoints.read_card(path), checkpoints.load(path)
    codes = scores.encode(model, datasets.mnist("train")[0][:512])
    np.testing.assert_allclose(potential.shift, codes.mean(0), rtol=1e-4, atol=1e-5)
    metrics = card["metrics"]
    low, high = metrics["w2_over_that_of_codes_interval_95"]
    assert 1 < low <= metrics["w2_over_that_of_codes"] <= high  # 30 iterations do not fit a map
    low, high = metrics["nearest_code_over_that_of_held_out_interval_95"]
    assert 0 < low <= metrics["nearest_code_over_that_of_held_out"] <= high
    assert {f"{name}_over_that_of_codes_interval_95" for name in ("spread", "coverage", "density")} < metrics.keys()
    assert card["iterations_at_scale_paper"] == 200_000
    kept = {file.name for file in workshop.run("mnist-aeot").iterdir()}
    assert {"state-000000030.safetensors", "log.jsonl", "losses.png"} <= kept


@pytest.mark.parametrize("name", POTENTIALS)
def test_every_potential_is_trained_at_smoke(workshop, smaller, name):
    data = smaller(RECIPES[name].data)
    try:
        if RECIPES[name].data in ("celeba", "fairface"):  # no auto-encoder ships
            workshop.train(RECIPES[name].autoencoder, images=160, **data)
        path = workshop.train(name, images=160, **data)
    except datasets.MissingDataError as error:
        pytest.skip(str(error).splitlines()[0])
    card = checkpoints.read_card(path)
    assert card["iterations"] == RECIPES[name].iterations["smoke"]
    assert card["metrics"]["held_out_codes"] > 0 and card["data"]["terms"]
    potential = checkpoints.load(path)
    assert torch.isfinite(potential(torch.randn(3, len(potential.shift)))).all()


@pytest.mark.parametrize("name", checkpoints.names())
def test_a_shipped_card_is_that_of_its_recipe(name):
    card, recipe = checkpoints.read_card(checkpoints.shipped(name)), RECIPES[name]
    length = recipe.epochs if isinstance(recipe, Recipe) else recipe.iterations
    assert card["recipe"] == name
    assert card.get("epochs", card.get("iterations")) == length[card["scale"]]
    same = card["recipe_sha256"] == recipe_hash(recipe, card["scale"])
    assert same, f"{name} was trained by another recipe: give it its old one back, or train the weights again"


def test_what_decides_the_weights_changes_the_hash_and_what_is_told_does_not():
    ae, aeot = RECIPES["mnist-ae"], RECIPES["mnist-aeot"]
    assert recipe_hash(replace(ae, summary="x"), "quick") == recipe_hash(ae, "quick")
    assert recipe_hash(replace(ae, learning_rate=1e-4), "quick") != recipe_hash(ae, "quick")
    printed = replace(aeot, up_to_constant=True)
    assert recipe_hash(printed, "paper") != recipe_hash(aeot, "paper")
    assert recipe_hash(replace(aeot, batch=64), "paper") == recipe_hash(aeot, "paper")  # the default of Algorithm 1
    assert recipe_hash(replace(aeot, batch=256), "paper") != recipe_hash(aeot, "paper")


@pytest.mark.parametrize("name", ["eight-gaussians", "eight-gaussians-slow"])
def test_the_toy_potential_is_trained(workshop, name):
    card = checkpoints.read_card(workshop.train(name, out=workshop.folder / "here"))
    assert card["metrics"]["loss_eq15_of_the_last_100"] < 1_000
    assert card["data"]["name"] == "eight_gaussians"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "mnist"}, r"no recipe 'mnist'.*mnist-ae"),
        ({"name": "mnist-ae", "scale": "large"}, "scale must be one of smoke, quick, paper"),
        ({"name": "mnist-ae", "epochs": 0}, "epochs must be at least 1, got 0"),
        ({"name": "mnist-ae", "precision": "half"}, "'float32' or 'bfloat16', got 'half'"),
        ({"name": "eight-gaussians", "epochs": 3}, "eight-gaussians is no network of images"),
    ],
)
def test_bad_arguments_are_named(workshop, arguments, said):
    with pytest.raises(ValueError, match=said):
        workshop.train(**arguments)
    assert not workshop.build.exists()


def test_a_set_that_is_smaller_than_a_step_is_named(workshop):
    with pytest.raises(ValueError, match="100 images are fewer than a step takes: 1 batches of 128"):
        workshop.train("mnist-ae", images=100)
