"""Scores of images, of generators and of maps of codes, with intervals."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
