"""Optimal transport in latent spaces: an executable companion to three papers.

Matched operations keep latent codes on the prior (Agustsson et al., ICLR 2019); AE-OT generates by
transporting noise to the codes of an auto-encoder (Liu et al., 2018); penalised optimal transport
relates auto-encoders and GANs (Bousquet et al., 2017).

Submodules load when they are first used, so that ``import ot_latent`` imports neither torch nor
matplotlib.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=[
        "adversarial",
        "autoencoders",
        "brenier",
        "checkpoints",
        "checks",
        "datasets",
        "evaluation",
        "face_sets",
        "faces",
        "figures",
        "gans",
        "generators",
        "image_report",
        "kantorovich",
        "laguerre",
        "monotone",
        "networks",
        "notebook",
        "objectives",
        "operations",
        "paper_numbers",
        "perturbation",
        "priors",
        "product",
        "published",
        "radial",
        "recipes",
        "references",
        "scipy_prior",
        "scorers",
        "scores",
        "semidiscrete",
        "semidual",
        "table2",
        "training",
        "transport_figures",
    ],
    submod_attrs={
        "brenier": ["LatentTransport"],
        "checks": ["check_prior"],
        "evaluation": ["evaluate_operations"],
        "kantorovich": ["solve_kantorovich"],
        "monotone": ["monotone_map"],
        "notebook": ["Run"],
        "operations": ["analogy", "combine", "interpolate", "random_walk", "slerp", "vicinity"],
        "priors": ["Gaussian", "Uniform"],
        "product": ["Product"],
        "radial": ["Ball", "Radial", "Sphere"],
        "scipy_prior": ["ScipyPrior", "sum_law"],
        "semidiscrete": ["SemiDiscreteOT"],
    },
)
