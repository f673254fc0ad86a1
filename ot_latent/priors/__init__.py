"""Priors: the law of a latent coordinate, of a weighted sum of coordinates, and of whole points."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
