"""Where a run computes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def resolve_device(device: str) -> torch.device:
    """The torch device that "auto", "cpu", "cuda", "cuda:N" or "mps" names; auto prefers a GPU."""
    check_device(device)
    import torch

    from ot_latent._loop import available

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return available(device)


def check_device(device: str) -> None:
    """Refuse what `resolve_device` does not know, without importing torch."""
    if not (isinstance(device, str) and re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", device)):
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {device!r}")
