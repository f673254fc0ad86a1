"""Table 2 of Agustsson et al. for any generator, on a generator and a scorer whose answers are known."""

import dataclasses
import pickle

import numpy as np
import pytest
import scipy.stats
import torch
from evaluation_toys import PRIOR, D, Toy, evaluate, generator

import ot_latent as otl
from ot_latent import scores
from ot_latent.scores import evaluation
from ot_latent.scores.evaluation_state import Tally
from ot_latent.scores.evaluation_table import evaluation as evaluated

# What it finds


def test_linear_means_lose_and_matched_ones_do_not():
    """Features are the latents: halfway between two normal points the variance is 1/2, not 1."""
    found = evaluate(n=4_000, batch=500)
    for points in (2, 4):
        linear, matched = found[f"{points}-point linear"], found[f"{points}-point matched"]
        assert linear.change.p_value < 1e-6
        assert linear.change.interval[1] < 0
        expected = D * (1 - points**-0.5) ** 2
        assert linear.frechet == pytest.approx(expected, rel=0.15)
        assert matched.change.p_value > 1e-3
        assert abs(matched.change.relative) < matched.change.detectable
        assert matched.frechet < 3 * found["random"].frechet
    assert found["4-point linear"].inception < found["2-point linear"].inception
    assert found["random"].change is None


@pytest.mark.parametrize(
    "prior",
    [
        otl.Uniform(-1, 1),
        otl.ScipyPrior(scipy.stats.laplace()),
        [otl.Gaussian(0, i + 1) for i in range(D)],
        otl.Sphere(D),
    ],
)
def test_every_prior_will_do(prior):
    found = evaluate(prior=prior, n=2_000, batch=500, operations=["2-point linear", "2-point matched"])
    assert found["2-point linear"].change.p_value < 1e-3
    assert found["2-point matched"].change.p_value > 1e-3


def test_latents_may_be_pictures():
    """The generator gets them in their shape; operations take all numbers of a point together."""
    pictures = evaluate(lambda z: torch.sigmoid(z), dimension=(2, 2, 2))
    flat = evaluate()
    assert [row.inception for row in pictures.rows] == [row.inception for row in flat.rows]
    assert evaluate(lambda z: torch.sigmoid(z), prior=otl.Sphere(8), dimension=[2, 2, 2], n=200)


def test_scores_are_those_of_all_images_at_once():
    """What the generator and the scorer see is kept, and scored without chunks."""
    kept = []

    class Keeping(Toy):
        def features(self, images):
            kept.append(super().features(images))
            return kept[-1]

    found = evaluate(scorer=Keeping(), n=430, operations=["2-point SLERP"])
    chunks = kept[2:]  # after one probe of each operation
    assert [len(chunk) for chunk in chunks] == [50] * 16 + [30] * 2
    for row, features in zip(found.rows, (np.concatenate(chunks[i::2]) for i in (0, 1)), strict=True):
        p = Toy().probabilities(features)
        parts = np.split(p, [i * 430 // 10 for i in range(1, 10)])
        values = [scores.inception_score(part, splits=1)[0] for part in parts]
        assert row.inception == pytest.approx(np.mean(values))
        assert row.deviation == pytest.approx(np.std(values))
        assert row.overall == pytest.approx(scores.inception_score(p, splits=1)[0])
    random, slerp = (np.concatenate(chunks[i::2]) for i in (0, 1))
    assert found["2-point SLERP"].frechet == pytest.approx(scores.frechet_distance(slerp, random))
    halves = [np.concatenate(chunks[i::4]) for i in (0, 2)]
    assert found["random"].frechet == pytest.approx(scores.frechet_distance(*halves) / 2)


def test_an_operation_does_not_depend_on_the_others():
    everything, one = evaluate(), evaluate(operations=["4-point matched"])
    for name in ("random", "4-point matched"):
        assert everything[name] == one[name]


def test_an_operation_of_your_own():
    def same(zs, prior):
        assert zs.shape == (1, len(zs[0]), D) and prior is PRIOR
        return zs[0]

    found = evaluate(operations={"same": evaluation.Operation(1, same)})
    assert [row.name for row in found.rows] == ["random", "same"]
    assert found["same"].overall != found["random"].overall  # other points than random samples


def test_the_distance_of_random_samples_is_what_others_would_have():
    """Mean over 40 seeds of what is stated against the distances of independent sets of n."""
    stated = [evaluate(operations=[], n=1_000, seed=seed)["random"].frechet for seed in range(40)]
    rng = np.random.default_rng(0)
    true = [scores.frechet_distance(*rng.standard_normal((2, 1_000, D))) for _ in range(40)]
    error = np.hypot(np.std(stated), np.std(true)) / np.sqrt(40)
    assert abs(np.mean(stated) - np.mean(true)) < 4 * error + 0.02 * np.mean(true)


def test_too_few_images_for_the_features_have_no_distance():
    class Wide(Toy):
        def features(self, images):
            return super().features(images).repeat(30, axis=1)

    found = evaluate(scorer=Wide(), operations=["2-point linear"])
    assert [row.frechet for row in found.rows] == [None, None]
    assert found.table().splitlines()[2].endswith("-")


# The test and its power


def change(rng, concentrations, n):
    tallies = {}
    for name, concentration in zip(("random", "other"), concentrations, strict=True):
        tallies[name] = Tally(n, 3, 1, halves=2)
        tallies[name].inception.update(rng.dirichlet(np.full(3, concentration), size=n))
    return evaluated(tallies, "random", "toy", 0)["other"].change


def test_of_no_change_rejects_at_its_level_and_intervals_cover():
    """600 comparisons of one law: rejections as binomial, within four deviations of 5 %."""
    rng = np.random.default_rng(0)
    found = [change(rng, (0.5, 0.5), 400) for _ in range(600)]
    rejected = np.mean([c.p_value < 0.05 for c in found])
    assert abs(rejected - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 600)
    assert np.mean([not c.interval[0] <= 0 <= c.interval[1] for c in found]) == rejected


def test_the_smallest_change_that_would_be_found_is_found_with_the_power_stated():
    """n is chosen so that a known change is the detectable one; 400 tests find it in 95 %."""
    rng, laws = np.random.default_rng(0), (0.5, 0.6)
    pilot = change(rng, laws, 1_000_000)
    n = round(1_000_000 * (pilot.detectable / abs(pilot.relative)) ** 2)
    found = [change(rng, laws, n) for _ in range(400)]
    assert np.mean([c.detectable for c in found]) == pytest.approx(abs(pilot.relative), rel=0.1)
    power = np.mean([c.p_value < 0.05 for c in found])
    assert abs(power - 0.95) < 4 * np.sqrt(0.05 * 0.95 / 400) + 0.01  # the pilot's own error


def test_equal_scores_are_found_to_be_and_others_at_the_level_stated_only():
    """A change as large as the margin is taken for none in 5 % of 400 tests, within four deviations; none in most."""
    rng, laws, n = np.random.default_rng(1), (0.5, 0.6), 2_000
    margin = abs(change(rng, laws, 1_000_000).relative)
    wrong = np.mean([change(rng, laws, n).within < margin for _ in range(400)])
    assert abs(wrong - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 400) + 0.01  # the margin's own error
    # twice the critical value of the one-sided test apart, both find it in 90 %; here it is further
    same = [change(rng, (0.5, 0.5), n) for _ in range(100)]
    assert margin > same[0].detectable
    assert np.mean([c.within < margin for c in same]) > 0.8


def test_a_generator_that_has_collapsed_shows_no_change():
    found = evaluate(generator=lambda z: torch.full((len(z), 1, 2, 2), 0.3))
    for row in found.rows[1:]:
        assert row.change.p_value > 0.05
        assert row.overall == pytest.approx(1)
        assert row.frechet == pytest.approx(0, abs=1e-6)


def test_the_generator_sees_no_more_than_a_batch():
    seen = []

    def recording(z):
        seen.append((len(z), z.dtype))
        return generator(z)

    evaluate(generator=recording, n=470, batch=100, operations=["2-point linear"])
    assert {dtype for _, dtype in seen} == {torch.float32}
    assert [rows for rows, _ in seen] == [4, 4, *[100] * 8, 70, 70]


# The table


def test_the_table_names_the_scorer_and_says_what_it_holds():
    found = evaluate(operations=["2-point linear"])
    text, row = found.table(), found["2-point linear"]
    assert str(found) == repr(found) == text
    title, columns, _, cells, note = text.splitlines()
    assert title == "Under toy; 400 images a row, seed 0."
    assert columns.split()[0] == "operation"
    assert f"{row.inception:.3f} ± {row.deviation:.3f}" in cells
    assert f"{row.change.relative:+.2%}" in cells
    assert "95 % power" in note
    assert "| 2-point linear |" in found._repr_markdown_()
    assert dataclasses.asdict(found)["rows"][1]["change"]["p_value"] == row.change.p_value
    with pytest.raises(KeyError, match="no such.*2-point linear"):
        found["no such"]


def test_names_are_shown_as_they_are():
    """By Markdown, too: neither a bar nor a tag nor a line break leaves its cell."""
    name = "a|b <img src=x>\n*c* [d](e) `f` $g$ &amp; \\"
    scorer = Toy()
    scorer.name = "net|*1*\n\n# Title"
    found = evaluate(scorer=scorer, operations={name: evaluation.OPERATIONS["2-point linear"]})
    first, table, _ = found._repr_markdown_().split("\n\n")
    assert first == r"Under net\|\*1\* # Title; 400 images a row, seed 0."
    assert table.splitlines()[3].startswith(r"| a\|b \<img src=x\> \*c\* \[d\](e) \`f\` \$g\$ \&amp; \\ ")
    assert len(table.splitlines()) == 4
    assert found[name].name == name and "a|b <img src=x>" in found.table()


def test_operations_can_be_pickled():
    again = pickle.loads(pickle.dumps(evaluation.OPERATIONS))
    assert again == evaluation.OPERATIONS
    assert evaluate(operations=again) == evaluate()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_generators_of_every_precision_will_do(dtype):
    found = evaluate(generator=lambda z: generator(z).to(dtype), operations=["2-point linear"])
    expected = evaluate(operations=["2-point linear"])
    for row, other in zip(found.rows, expected.rows, strict=True):
        assert row.inception == pytest.approx(other.inception, rel=0.01)


# Errors


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n": 199}, ValueError, "n must be at least 200, got 199"),
        ({"n": 1e3}, TypeError, "n must be a whole number"),
        ({"n": "400"}, TypeError, "n must be a whole number"),
        ({"save_every": "30"}, TypeError, "save_every must be a real number"),
        ({"save_every": float("nan")}, ValueError, "save_every must be at least 0 and finite"),
        ({"operations": {"mean": lambda zs, prior: zs[0]}}, TypeError, "map names to Operation.*mean"),
        ({"generator": lambda z: 255 * generator(z)}, ValueError, "images / 255"),
        ({"device": "cuda:77"}, ValueError, "device must be"),
        ({"seed": -1}, ValueError, "seed"),
        ({"batch": 0}, ValueError, "batch"),
        ({"dimension": None}, ValueError, "dimension must be given"),
        ({"dimension": 0}, ValueError, "dimension"),
        ({"prior": otl.Sphere(5)}, ValueError, "5 coordinates"),
        ({"prior": otl.Sphere(5), "dimension": (2, 3)}, ValueError, "5 coordinates"),
        ({"operations": ["3-point linear"]}, ValueError, "must be among.*3-point"),
        ({"generator": lambda z: 2 * generator(z) - 1}, ValueError, r"in \[0, 1\], got .*\(images \+ 1\) / 2"),
        ({"generator": lambda z: generator(z) / 0}, ValueError, r"\[0, 1\]"),
        ({"generator": lambda z: 0 * generator(z) / 0}, ValueError, r"\[0, 1\]"),
        ({"generator": lambda z: generator(z)[:2]}, ValueError, "4 images for 4 latents, got 2"),
        ({"generator": lambda z: z.sigmoid()}, ValueError, "shape"),
        ({"scorer": torch.nn.Linear(2, 2)}, TypeError, "name, features, probabilities"),
        ({"generator": lambda z: generator(z).byte()}, TypeError, "uint8"),
        ({"generator": lambda z: generator(z).numpy()}, TypeError, "torch tensor"),
        (
            {"operations": {"half": evaluation.Operation(1, lambda zs, prior: zs[0][:, :4])}},
            ValueError,
            "operation 'half'",
        ),
    ],
)
def test_bad_arguments_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        evaluate(**settings)


@pytest.mark.parametrize("points", [0, -2, 1.5, "2"])
def test_what_is_no_number_of_points_is_refused(points):
    with pytest.raises((TypeError, ValueError), match="points must be"):
        evaluation.Operation(points, lambda zs, prior: zs[0])
