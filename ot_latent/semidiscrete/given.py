"""What `SemiDiscreteOT` is given, checked: codes, masses, heights, and which codes are equal."""

import torch

from ot_latent._arrays import Array, parameter

_LARGEST = 1e150  # coordinate of a code: its square is a number


def checked_codes(values: Array) -> torch.Tensor:
    """Codes as a finite tensor (N, d), in double precision where single would not hold their squares."""
    codes = torch.as_tensor(parameter(values, "codes")).detach()
    if codes.ndim != 2 or 0 in codes.shape:
        raise ValueError(f"codes must have shape (N, d), N and d at least 1, got {tuple(codes.shape)}")
    size = float(codes.abs().max())
    if size > _LARGEST:
        raise ValueError(f"codes must not exceed {_LARGEST:g}, got {size:g}: divide them by a number")
    return codes if 1e-15 < size < 1e15 else codes.double()  # squares may leave single precision


def first_equal(codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of the distinct codes each code is, (N,), and where these come first, in order."""
    distinct, index = torch.unique(codes, dim=0, return_inverse=True)
    places = torch.arange(len(codes), device=codes.device)
    first = torch.full_like(places[: len(distinct)], len(codes)).scatter_reduce_(0, index, places, "amin")
    order = first.argsort()
    return order.argsort()[index], first[order]


def one_for_each(values: Array, codes: torch.Tensor, name: str) -> torch.Tensor:
    """One finite number for each code, in double precision."""
    vector = torch.as_tensor(parameter(values, name), dtype=torch.float64, device=codes.device).detach()
    if vector.shape != (len(codes),):
        raise ValueError(f"{name} must have shape ({len(codes)},), got {tuple(vector.shape)}")
    return vector
