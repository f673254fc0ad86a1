"""The data sets of the papers and your own images: found, verified, downloaded where terms allow, decoded once."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
