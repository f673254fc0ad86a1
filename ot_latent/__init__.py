"""Optimal transport in latent spaces: an executable companion to three papers.

Matched operations keep latent codes on the prior (Agustsson et al., ICLR 2019); AE-OT generates by
transporting noise to the codes of an auto-encoder (Liu et al., 2018); penalised optimal transport
relates auto-encoders and GANs (Bousquet et al., 2017).

Submodules load when they are first used, so that ``import ot_latent`` imports neither torch nor
matplotlib.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

_attribute, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    try:
        return _attribute(name)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(__name__):
            from ot_latent._storage import missing

            error.add_note(missing(error.name))
        raise
