"""Inception Score (Salimans et al. 2016), of all images at once or of images that come in chunks.

With p(y) the mean of p(y|x) over the images of a split, its score is

    exp(E_x KL(p(y|x) ‖ p(y))),    E_x KL = E_x Σ_y p(y|x) log p(y|x) - Σ_y p(y) log p(y),

so that the sums of p(y|x) and of p(y|x) log p(y|x) are all that it needs.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from ot_latent._arrays import count, real_numbers
from ot_latent.priors.laws import ByValue
from ot_latent.scores.intervals import bootstrap_interval

_HALF = 5e-3  # rows of half-precision softmax sum to 1 within this

#: Blocks that `InceptionStatistics` keeps apart: the ten splits of a score are made of them, and their
#: scatter gives its error, to about 1 / sqrt(2 * 200) = 5 %.
BLOCKS = 200


class InceptionStatistics(ByValue):
    """What the Inception Score of n images needs, taken in chunk by chunk.

    Parameters
    ----------
    n : int
        How many images will come: the splits of Salimans et al. are consecutive n-ths of them.
    classes : int
    blocks : int
        A multiple of the number of splits, and at most n.

    Examples
    --------
    >>> statistics = InceptionStatistics(n=200, classes=4)
    >>> for _ in range(2):
    ...     statistics.update(np.eye(4)[np.arange(100) % 4])
    >>> [round(number, 6) for number in statistics.score(splits=10)]
    [4.0, 0.0]
    """

    def __init__(self, n: int, classes: int, blocks: int = BLOCKS) -> None:
        n, classes, blocks = count(n, "n"), count(classes, "classes"), count(blocks, "blocks")
        if blocks > n:
            raise ValueError(f"n must be at least the number of blocks, {blocks}, got {n}")
        self.starts = np.arange(blocks) * n // blocks
        self.n, self.seen = n, 0
        self.counts = np.diff(self.starts, append=n)
        self.sums = np.zeros((blocks, classes))
        self.negentropies = np.zeros(blocks)

    def update(self, probabilities: ArrayLike) -> None:
        """Take in p(y|x) of the next images, (rows, classes).

        Raises
        ------
        ValueError
            If they are no probabilities, or more images came than announced.
        """
        checked = _checked(probabilities, self.sums.shape[1])
        seen = self.seen + len(checked)
        if seen > self.n:
            raise ValueError(f"{seen} images came, {self.n} were announced")
        block = np.searchsorted(self.starts, np.arange(self.seen, seen), side="right") - 1
        blocks, firsts = np.unique(block, return_index=True)
        self.sums[blocks] += np.add.reduceat(checked, firsts)
        negentropies = -special.entr(checked).sum(1)
        self.negentropies[blocks] += np.add.reduceat(negentropies, firsts)
        self.seen = seen

    def score(self, splits: int = 10) -> tuple[float, float]:
        """Mean and standard deviation over splits, as Salimans et al. report them."""
        count(splits, "splits")
        values = np.exp(self._divergences(splits))
        return float(values.mean()), float(values.std())

    def log_score(self) -> tuple[float, float]:
        """Log of the score of all images as one split, and its standard error.

        The influence of an image on the log of the score is KL(p(y|x) ‖ p(y)), up to a constant:
        its scatter over blocks of images gives the error.
        """
        log = float(self._divergences(1)[0])
        total = self.sums.sum(0) / self.n
        log_total = np.log(np.where(total > 0, total, 1))
        blocks = (self.negentropies - self.sums @ log_total) / self.counts
        # blocks differ by one image at most: they count alike
        error = blocks.std(ddof=1) / math.sqrt(len(blocks))
        return log, float(error)

    def _divergences(self, splits: int) -> np.ndarray:
        """E_x KL(p(y|x) ‖ p(y)) of each split."""
        if self.seen != self.n:
            raise ValueError(f"{self.n} images were announced, {self.seen} came")
        if len(self.counts) % splits:
            raise ValueError(f"splits must divide the number of blocks, {len(self.counts)}")
        counts, sums, negentropies = (
            x.reshape(splits, -1, *x.shape[1:]).sum(1) for x in (self.counts, self.sums, self.negentropies)
        )
        return negentropies / counts + special.entr(sums / counts[:, None]).sum(1)


def _checked(given: ArrayLike, classes: int | None = None) -> np.ndarray:
    """Rows of probabilities, divided by their sums: half precisions round these."""
    probabilities = real_numbers(given, "probabilities")
    if probabilities.ndim != 2 or classes not in (None, probabilities.shape[1]):
        wanted = "classes" if classes is None else classes
        raise ValueError(f"probabilities must have shape (n, {wanted}), got {probabilities.shape}")
    sums = probabilities.sum(1, keepdims=True)
    if not ((probabilities >= 0).all() and np.allclose(sums, 1, rtol=0, atol=_HALF)):
        raise ValueError("each row of probabilities must be non-negative and sum to 1")
    return probabilities / sums


def inception_score(probabilities: ArrayLike, splits: int = 10) -> tuple[float, float]:
    """Inception Score of Salimans et al. (2016): mean and standard deviation over splits.

    exp(E_x KL(p(y|x) ‖ p(y))) of each of the consecutive splits. The deviation is that of one split,
    and a split's score is biased downwards, the more the smaller it is: `inception_interval` says what
    is known of the score of all images.

    Parameters
    ----------
    probabilities : (n, classes)
        p(y|x), one row an image.
    splits : int

    Raises
    ------
    ValueError
        If rows are not probabilities or there are fewer rows than splits.

    Examples
    --------
    >>> certain, evenly = np.eye(4)[np.arange(200) % 4], np.full((200, 4), 1 / 4)
    >>> [round(inception_score(p)[0], 6) for p in (certain, evenly)]
    [4.0, 1.0]
    """
    count(splits, "splits")
    p = real_numbers(probabilities, "probabilities")
    if p.ndim != 2 or len(p) < splits:
        raise ValueError(f"probabilities must have shape (n >= {splits}, classes), got {p.shape}")
    statistics = InceptionStatistics(*p.shape, blocks=splits)
    statistics.update(p)
    return statistics.score(splits)


def inception_interval(probabilities: ArrayLike, rng: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the Inception Score of all images as one split.

    Parameters
    ----------
    probabilities : (n, classes)
    rng : int
        Seed of the bootstrap.

    Raises
    ------
    ValueError
        If rows are not probabilities.
    """
    p, rng = _checked(probabilities), count(rng, "rng", 0)
    if len(p) < 2:
        raise ValueError(f"probabilities must be of two images or more, got {p.shape}")
    entropies = special.entr(p).sum(1)

    def score(rows: np.ndarray, axis: int) -> np.ndarray:
        return np.exp(special.entr(p[rows].mean(axis - 1)).sum(-1) - entropies[rows].mean(axis))

    return bootstrap_interval((np.arange(len(p)),), score, np.random.default_rng(rng))
