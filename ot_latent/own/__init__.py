"""Your own images or codes in one command: `fit_images`, `fit_codes`, and what they fit."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
