"""A sample of what `many_laws.py` does to thousands of priors."""

import numpy as np
import pytest
from many_laws import bits_of_threads, case, left_its_prior, most, walked


def test_false_rejections_stay_within_the_level():
    failed = [str(case(number)) for number in range(24) if not left_its_prior(number).ok]
    assert len(failed) <= most(24), failed


@pytest.mark.parametrize("law", ["Gaussian", "Uniform", "Laplace"])
def test_long_walks_stay_on_the_prior(law):
    assert walked(law, 300, np.float32).ok


def test_one_thread_and_two_give_the_same_bits():
    assert bits_of_threads(1) == bits_of_threads(2)
