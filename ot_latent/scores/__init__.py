"""Scores of images, of generators and of maps of codes, with intervals.

All take what a scorer made of images (`scores.scorers`, which also says how other libraries take its
features): a number without its scorer's name says nothing, and every table gives it.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
