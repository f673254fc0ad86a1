"""A model of your own images: auto-encoder, map from noise to its codes, and the codes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from ot_latent._arrays import Seed, count
from ot_latent._storage import write_atomically
from ot_latent.codes.correction import FEWEST
from ot_latent.codes.law import Codes
from ot_latent.datasets.pixels import Wanted, decode
from ot_latent.latent_transport import LatentTransport
from ot_latent.models.autoencoders import Autoencoder
from ot_latent.operations import interpolate
from ot_latent.priors.laws import ByValue
from ot_latent.saved import save
from ot_latent.scores import inference

#: Bytes (n, h, w) or (n, h, w, 3), or the paths of n image files.
Images: TypeAlias = np.ndarray | Sequence[str | Path]

_MOST = 5_000  # codes that maps for walks are fitted to


class ImageModel(ByValue):
    """What `fit_images` makes of your images: an auto-encoder, and new images by transport of noise to its codes.

    Attributes
    ----------
    autoencoder : Autoencoder
    transport : LatentTransport
        From Gaussian noise to the codes.
    codes : (n, d) tensor
        Of the images that it was fitted to. Whoever has them and the decoder sees their likeness.
    law : Codes
        Theirs, by 5,000 of them at most: a ``prior`` for all matched operations.
    card : dict
        How it was made, and its scores.
    report : str
        The same in words.
    """

    def __init__(
        self, autoencoder: Autoencoder, transport: LatentTransport, codes: torch.Tensor, card: dict[str, Any]
    ) -> None:
        self.autoencoder, self.transport, self.codes, self.card, self.report = autoencoder, transport, codes, card, ""
        self.side, self.channels = autoencoder.side, int(autoencoder.config["channels"])
        some = codes[:: -(-len(codes) // _MOST)]
        self.law = Codes(some, directions=0 if len(some) < FEWEST else None)  # too few to keep some aside

    def __repr__(self) -> str:
        kind = "grey" if self.channels == 1 else "in colour"
        return f"ImageModel({self.side} x {self.side} {kind}, {len(self.codes):,} codes, d={self.codes.shape[1]})"

    def encode(self, images: Images) -> torch.Tensor:
        """Codes of images of any size, whose largest central square is taken: (n, d).

        Raises
        ------
        ValueError
            If an image cannot be read, or comes as bytes in colour where the model is grey.
        """
        if isinstance(images, np.ndarray):
            if images.ndim == 4 and self.channels == 1:
                raise ValueError(f"images must be grey for this model, (n, h, w), got {images.shape}")
            pixels = images[..., None].repeat(3, 3) if images.ndim == 3 and self.channels == 3 else images
        else:
            wanted = Wanted(self.side, grey=self.channels == 1)
            pixels = np.stack([decode(Path(path).read_bytes(), wanted) for path in images])
        return torch.from_numpy(inference.encode(self.autoencoder, pixels, self.transport.device))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Images of codes: (n, d) -> (n, channels, side, side) with values in [0, 1]."""
        return inference.decode(self.autoencoder, codes, self.transport.device)

    def sample(self, n: int, rng: Seed = 0) -> torch.Tensor:
        """New images: (n, channels, side, side) with values in [0, 1]."""
        return self.decode(self.transport.sample(n, rng))

    def interpolate(self, first: Images, second: Images, steps: int = 9) -> torch.Tensor:
        """Matched walks from images to others: (steps, n, channels, side, side), decoded from first to last.

        Points between are brought back to the law of the codes, see `Codes`. The maps for a number of steps
        are fitted when they are first asked for.
        """
        ends = self.encode(first), self.encode(second)
        return self.walk(*ends, np.linspace(1, 0, count(steps, "steps", 2)))

    def walk(self, first: torch.Tensor, second: torch.Tensor, shares: Sequence[float] | np.ndarray) -> torch.Tensor:
        """Images between codes, for shares of the first: (k, n, channels, side, side)."""
        weights = torch.as_tensor(np.asarray(shares), dtype=first.dtype)[:, None, None]
        codes = interpolate(first, second, weights, prior=self.law)
        return torch.stack([self.decode(row) for row in codes])

    def save(self, folder: str | Path) -> Path:
        """Write the model, its card and its report into a folder, for `ot_latent.load`; returns it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {"card.json": json.dumps(self.card, indent=2), "report.md": self.report}.items():
            write_atomically(folder / name, text)
        save(self, folder)
        return folder
