"""Couplings for conditional flow matching: a semi-discrete problem for each class."""

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_torch_array

from ot_latent._arrays import Array, Seed, count, draw, generator
from ot_latent.priors.laws import ByValue
from ot_latent.semidiscrete.transport import SemiDiscreteOT


class ClassCoupling(ByValue):
    """Couplings of a prior with the codes of each class: noise says nothing of the class.

    A conditional flow starts from the whole prior for every class. So each class has a problem of its own, with its
    codes alone; one problem for all of them would give each class a part of the noise.

    Parameters
    ----------
    **settings
        Of each `SemiDiscreteOT`.

    Attributes
    ----------
    fits : dict of SemiDiscreteOT
        By class, each with its certificate.

    Examples
    --------
    >>> codes, labels = np.array([[-1.0, 0], [1, 0], [5, 0], [7, 0]]), np.array([0, 0, 1, 1])
    >>> noise, index = ClassCoupling().fit(codes, labels).pair(1_000, rng=0)
    >>> [bool((np.sign(noise[labels[index] == c, 0]) > 0).any()) for c in (0, 1)]
    [True, True]
    """

    def __init__(self, **settings: Any) -> None:
        SemiDiscreteOT(**settings)
        self.settings = settings

    def __repr__(self) -> str:
        return f"ClassCoupling({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"

    def fit(self, codes: Array, labels: Array, prior: Any = None) -> "ClassCoupling":
        """Solve one problem for each class.

        Parameters
        ----------
        codes : (N, d) array-like
        labels : (N,) array-like
            Of any kind that numpy can sort.
        prior : law with ``sample``, optional
            Standard `Gaussian` by default.

        Raises
        ------
        ValueError
            If there is not one label for each code, and as `SemiDiscreteOT.fit`.
        """
        given = labels.numpy(force=True) if is_torch_array(labels) else labels
        classes, of_code = np.unique(given, return_inverse=True)
        codes = codes if is_torch_array(codes) else np.asarray(codes)
        if of_code.shape != (len(codes),):
            raise ValueError(f"labels must have shape ({len(codes)},), one for each code, got {of_code.shape}")
        xp = array_namespace(codes)
        self._of_code = xp.asarray(of_code, device=device(codes))
        self._members = [xp.nonzero(self._of_code == c)[0] for c in range(len(classes))]
        fits = [SemiDiscreteOT(**self.settings).fit(codes[members], prior) for members in self._members]
        self.fits = dict(zip(classes.tolist(), fits, strict=True))
        return self

    def pair(self, n: int, rng: Seed = None, temperature: float = 0.0) -> tuple[Array, Array]:
        """Noise, and the indices of the codes that it goes to, classes as frequent as among the codes.

        Parameters and results are those of `SemiDiscreteOT.pair`; the label of a pair is that of its code.
        """
        if not hasattr(self, "fits"):
            raise RuntimeError("this ClassCoupling is not fitted yet; call fit(codes, labels) first")
        xp, rng = array_namespace(self._of_code), generator(rng, self._of_code)
        levels = draw("uniform", count(n, "n"), rng, like=1.0 * self._of_code[:1])
        drawn = self._of_code[xp.astype(levels * len(self._of_code), xp.int64).clip(max=len(self._of_code) - 1)]
        parts = []
        for c, fit in enumerate(self.fits.values()):
            if of_class := int((drawn == c).sum()):
                noise, index = fit.pair(of_class, rng, temperature)
                parts.append((noise, self._members[c][index]))
        back = xp.argsort(xp.argsort(drawn, stable=True))  # from one class after the other to the order drawn
        noise, index = (xp.concat(values)[back] for values in zip(*parts, strict=True))
        return noise, index
