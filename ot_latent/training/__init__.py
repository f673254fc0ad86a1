"""Training of every network that ships: recipes as data, one loop, states, cards."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
