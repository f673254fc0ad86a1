"""What is saved is loaded bit for bit; damage, newer formats and strange names are refused; no code comes from data."""

import copy
import json
import random
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
import scipy.stats
import torch
from safetensors.numpy import save as as_bytes
from test_public_objects import LAW, MAKERS, OT, POINTS, fitted

import ot_latent as otl
from ot_latent import checkpoints, generators, priors, saved
from ot_latent._storage import read_tensors, save_tensors, tensors_hash

HISTOGRAM = scipy.stats.rv_histogram(np.histogram(POINTS[:, 0], bins=6), density=False)
Z = np.random.default_rng(1).standard_normal((50, 2))


class Quantiles:
    """A table of quantiles as a law: straight between its entries."""

    levels, values = np.linspace(0, 1, 6), np.array([0.0, 1.0, 1.5, 2.5, 4.0, 4.5])

    def cdf(self, x):
        return np.interp(x, self.values, self.levels)

    def ppf(self, p):
        return np.interp(p, self.levels, self.values)

    def __repr__(self):
        return "Quantiles()"


PRIORS = [
    otl.Gaussian([0, 1], np.float32(2)),
    otl.Gaussian(torch.tensor([0.0, 1.0], dtype=torch.float64)),
    otl.Uniform(-2, 5),
    otl.Sphere(3, 2.0),
    otl.Ball(3),
    otl.Ball(3).combine([3.0]),
    otl.Sphere(3).combine([0.5, 0.25]),
    otl.Sphere(3).combine(np.full((2, 4, 1), 0.5)),
    otl.Radial(3, scipy.stats.halfnorm(scale=2)),
    otl.MultivariateGaussian([1, 2], [[2, 1], [1, 2]]).combine([0.3, 0.5]),
    otl.priors.as_prior(scipy.stats.multivariate_t([1, 2], [[2, 1], [1, 2]], df=4)),
    otl.Elliptical(otl.Sphere(2), [1, 2], [[2, 1], [1, 2]]).combine([0.3, 0.5]),
    otl.ScipyPrior(scipy.stats.gamma(2.5, loc=1, scale=np.float64(3))),
    otl.ScipyPrior(scipy.stats.t(3)).combine([0.5, 0.5]),
    otl.ScipyPrior(HISTOGRAM),
    otl.ScipyPrior(HISTOGRAM(loc=1, scale=2)),
    otl.ScipyPrior(Quantiles()),
    otl.Product([otl.Uniform(), otl.ScipyPrior(scipy.stats.laplace()), otl.Uniform()]),
    otl.Uniform().combine([0.5, 0.5]),
    otl.Uniform().combine([0.5, 0.5, 1.0]),
    otl.Uniform().combine(np.eye(3)),
]


def again(thing, tmp_path):
    return otl.load(otl.save(thing, tmp_path / "thing.safetensors"))


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_priors_are_equal_after_it_and_draw_the_same(prior, tmp_path):
    twin = again(prior, tmp_path)
    assert twin == prior and hash(twin) == hash(prior)
    if prior not in (PRIORS[1], *PRIORS[5:8]):  # one draws for torch alone, norms of the sums take a while
        shape = (5, 3 if isinstance(prior, otl.Radial | otl.Product) else 2)
        shape = shape if not isinstance(prior, priors.LawPerEntry) else (5, 3)
        np.testing.assert_array_equal(twin.sample(shape, rng=0), prior.sample(shape, rng=0))


@pytest.mark.parametrize("name", [name for name in saved.CLASSES if name not in ("AAE", "WAEGAN", "Potential")])
def test_every_class_that_a_file_may_name_is_there(name, tmp_path):
    kind = getattr(import_module(saved.CLASSES[name]), name)
    if kind in MAKERS:
        assert again(made := MAKERS[kind](), tmp_path) == made


def test_every_public_law_and_map_has_a_name_in_files():
    for kind in MAKERS:
        if hasattr(kind, "combine") or hasattr(kind, "fit") or hasattr(kind, "transport"):
            assert saved.CLASSES[kind.__name__] == kind.__module__


@pytest.mark.parametrize("codes", [POINTS, POINTS[:, :1], torch.from_numpy(POINTS).float(), np.repeat(POINTS, 2, 0)])
@pytest.mark.parametrize("prior", [None, otl.Uniform(), [otl.Uniform(), otl.ScipyPrior(scipy.stats.laplace())]])
def test_a_fit_gives_the_same_bits(codes, prior, tmp_path):
    d = codes.shape[1]
    ot = otl.SemiDiscreteOT(tolerance=0.5).fit(codes, prior[:d] if isinstance(prior, list) else prior)
    twin, z = again(ot, tmp_path), Z[:, :d]
    assert twin == ot and type(twin.heights) is type(ot.heights)
    for of in ("transport", "potential", "extend", "cell"):
        np.testing.assert_array_equal(getattr(twin, of)(z), getattr(ot, of)(z))
    assert twin.mass_error(500, 0) == ot.mass_error(500, 0) and twin.cost == ot.cost
    assert twin.fit(POINTS).converged


def test_an_estimator_without_a_fit_and_a_whole_number_are_kept(tmp_path):
    ot = otl.SemiDiscreteOT(tolerance=np.float32(0.5), random_state=2**40)
    assert vars(again(ot, tmp_path)) == vars(ot)
    with pytest.raises(RuntimeError, match="not fitted yet"):
        again(otl.LatentTransport(), tmp_path).sample(1)


def test_codes_keep_the_maps_that_were_fitted(tmp_path):
    z = POINTS.reshape(2, 30, 2)
    matched = otl.interpolate(*z, 0.25, prior=LAW)
    twin = again(LAW, tmp_path)
    assert len(twin._known) == len(LAW._known) > 0
    np.testing.assert_array_equal(otl.interpolate(*z, 0.25, prior=twin), matched)
    np.testing.assert_array_equal(otl.interpolate(*z, 0.4, prior=twin), otl.interpolate(*z, 0.4, prior=LAW))
    np.testing.assert_array_equal(twin.sample((5, 2), rng=0), LAW.sample((5, 2), rng=0))


@pytest.mark.parametrize("method", ["semidiscrete", "minibatch"])
def test_a_latent_transport_gives_the_same_bits(method, tmp_path):
    latent = fitted(method)
    twin = again(latent, tmp_path)
    assert twin == latent and torch.equal(twin.sample(5), latent.sample(5))
    assert torch.equal(twin.invert(POINTS, 3).noise, latent.invert(POINTS, 3).noise)


@pytest.mark.parametrize("names", [("mnist-vae",), ("mnist-aeot", "mnist-ae"), ("mnist-dcgan-gaussian",)])
def test_generators_need_no_other_file(names, tmp_path):
    generator = generators.load(*names)
    twin, z = again(generator, tmp_path), generator.sample(3, rng=0)
    assert twin == generator and torch.equal(twin(z), generator(z))


def test_networks_keep_single_precision_and_their_mode(tmp_path):
    network = checkpoints.load("mnist-classifier").train()
    torch.nn.init.normal_(network.head.weight)
    twin = again(network, tmp_path)
    assert twin.training and torch.equal(twin.head.weight, network.head.weight)


def test_half_precisions_and_shared_tensors_come_back(tmp_path):
    mean = torch.tensor([0.5, 1.0], dtype=torch.bfloat16)
    ot = otl.SemiDiscreteOT()
    ot.one = ot.other = mean
    twin = again(ot, tmp_path)
    assert twin.one is twin.other and twin.one.dtype == torch.bfloat16 and torch.equal(twin.one, mean)


def test_equal_objects_give_equal_files(tmp_path):
    files = [tmp_path / f"{number}.safetensors" for number in range(20)]
    for file in files:
        otl.save(otl.Codes(np.eye(3)), file)
    assert len({file.read_bytes() for file in files}) == 1


def test_a_folder_holds_one_object(tmp_path):
    assert otl.save(OT, tmp_path) == tmp_path / "model.safetensors"
    assert otl.load(tmp_path) == OT == otl.load(str(tmp_path / "model.safetensors"), device="cpu")
    with pytest.raises(FileNotFoundError):
        otl.load(tmp_path / "missing")


class Mine(scipy.stats.rv_continuous):
    def _cdf(self, x):
        return np.clip(x, 0, 1) ** 2


class Sampled:
    def sample(self, shape, rng=None, like=None):
        return otl.Gaussian().sample(shape, rng, like)


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (5, "obj must be a prior, a fitted map or a generator of ot_latent, got int"),
        ([otl.Uniform()], "obj must be a prior, .*, got list"),
        (otl.check_prior(POINTS, otl.Gaussian()), "obj is a ot_latent.checks.PriorCheck, which has no name in a file"),
        (otl.ScipyPrior(Mine(a=0, b=1, name="norm")), "cannot be saved, .* take a frozen distribution of scipy.stats"),
        (otl.SemiDiscreteOT(tolerance=0.5).fit(POINTS, Sampled()), "obj._dual.prior is a test_saved.Sampled, which"),
        (generators.Generator(2, otl.Gaussian(), torch.sigmoid), "obj.networks is a builtins.builtin_function"),
    ],
)
def test_what_has_no_name_is_refused(thing, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        otl.save(thing, tmp_path / "thing")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def path(tmp_path):
    return otl.save(otl.SemiDiscreteOT(tolerance=0.5).fit(POINTS[:8]), tmp_path / "fit.safetensors")


def test_no_cut_and_no_flipped_bit_goes_unnoticed(path):
    content, places = path.read_bytes(), random.Random(0)
    for length in (0, 1, 7, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="fit.safetensors is damaged or no object that ot_latent saved"):
            otl.load(path)
    for _ in range(300):
        flipped, bit = bytearray(content), places.randrange(8 * len(content))
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="fit.safetensors is damaged or no object that ot_latent saved"):
            otl.load(path)


def changed(path, change):
    """The file with other facts, and a hash that fits them."""
    arrays, facts = read_tensors(path, framework="numpy")
    change(facts)
    save_tensors(path, arrays, facts)
    return path


def test_a_newer_format_says_who_wrote_it(path):
    changed(path, lambda facts: facts.update(version=3, written_by="9.1"))
    with pytest.raises(ValueError, match="was written by ot_latent 9.1 in format 3; version .* update ot_latent"):
        otl.load(path)


def test_records_of_another_version_say_what_to_do(tmp_path):
    points = np.random.default_rng(0).standard_normal((600, 1))
    prior = otl.Codes(np.where(points > 0, 3, -3) + 0.1 * points)
    otl.monotone_map(prior.combine([0.5, 0.5]), prior)
    path = otl.save(prior, tmp_path / "codes.safetensors")
    assert otl.load(path) == prior

    def as_before(facts):
        for entry in facts["objects"]:
            if entry["class"] == "Trial":
                del entry["state"]["energy"]

    changed(path, as_before)
    with pytest.raises(ValueError, match="its Trial is of another version of ot_latent: fit and save it anew"):
        otl.load(path)


@pytest.mark.parametrize("name", ["Popen", "system", "save", "ot_latent.saved.save", "../../Gaussian", "", 3, None])
def test_a_file_chooses_among_known_classes_alone(name, path):
    changed(path, lambda facts: facts["objects"][0].update({"class": name}))
    with pytest.raises(ValueError, match="is no class that a file may name"):
        otl.load(path)


def test_a_state_of_a_training_run_is_no_object(tmp_path):
    save_tensors(tmp_path / "state", {"a": torch.ones(2)}, {"step": 1})
    with pytest.raises(ValueError, match="holds no object that ot_latent saved"):
        otl.load(tmp_path / "state")


@pytest.mark.parametrize("law", ["rvs", "rv_continuous", "poisson", "__builtins__", "norm.rvs", 7, ""])
def test_a_law_is_one_of_scipys(law, tmp_path):
    path = otl.save(otl.ScipyPrior(scipy.stats.gamma(2)), tmp_path / "law")
    changed(path, lambda facts: facts["objects"][0]["state"].update(name=law))
    with pytest.raises(ValueError, match="is damaged, or no object"):
        otl.load(path)


def test_a_device_that_is_not_here_is_named(path):
    def moved(value):
        if isinstance(value, dict):
            return {k: "cuda:7" if k == "device" else moved(v) for k, v in value.items()}
        return [moved(v) for v in value] if isinstance(value, list) else value

    changed(path, lambda facts: facts.update(moved(facts)))
    with pytest.raises(ValueError, match=r"of another device, cuda:7: load\(path, device='cpu'\)"):
        otl.load(path)
    assert otl.load(path, device="cpu").converged
    with pytest.raises(ValueError, match="device must be one that torch finds here"):
        otl.load(path, device="cuda:9")


def test_forged_facts_end_in_an_object_or_a_clear_word(path):
    """Any value in the place of any other, with a hash that fits."""
    content, rng = path.read_bytes(), random.Random(0)
    strange = [None, True, -1, 1e400, "x", [], {}, {"object": 0}, {"array": "0"}, {"tuple": 5}, {"a": 1, "b": 2}, [[]]]

    def places(value, found):
        for key in value.keys() if isinstance(value, dict) else range(len(value)):
            found.append((value, key))
            if isinstance(value[key], dict | list):
                places(value[key], found)
        return found

    def forge(facts):
        for _ in range(rng.choice((1, 3))):
            where, key = rng.choice(places(facts, []))
            where[key] = copy.deepcopy(rng.choice(strange))

    for _ in range(200):
        path.write_bytes(content)
        try:
            otl.load(changed(path, forge))
        except ValueError as error:
            assert str(path) in str(error)


def test_depth_and_size_are_bounded(tmp_path):
    text = '{"a": ' * 100_000
    path = tmp_path / "deep"
    path.write_bytes(as_bytes({}, {"facts": text, "sha256": tensors_hash({}, text)}))
    with pytest.raises(ValueError, match="is damaged or no object"):
        otl.load(path)
    header = json.dumps({"0": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match="is damaged or no object"):
        otl.load(path)
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="is damaged or no object"):
        otl.load(path)


def test_files_of_the_first_format_are_read(root):
    folder = root / "tests" / "core" / "saved_1"
    ot, prior = otl.load(folder / "fit.safetensors"), otl.load(folder / "prior.safetensors")
    np.testing.assert_array_equal(ot.transport(POINTS[:8]), POINTS[:8][ot.cell(POINTS[:8])])
    assert ot.converged and ot.heights.shape == (8,)
    assert prior == otl.Product([otl.Uniform(0, 3), otl.ScipyPrior(scipy.stats.gamma(2.5, loc=1)), otl.Gaussian()])


def test_priors_are_saved_without_torch(tmp_path):
    code = "import sys, ot_latent as otl; otl.load(otl.save(otl.Uniform(0, [1, 2]), sys.argv[1])); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code, tmp_path], check=True, capture_output=True, text=True).stdout
    assert "torch" not in shown.split() and "ot_latent.saved" in shown.split()
