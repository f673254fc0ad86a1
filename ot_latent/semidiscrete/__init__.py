"""Semi-discrete optimal transport, exact from a prior to N codes: An et al. (2020), Liu 2018 section 3.

The cost is ‖z - y‖² / 2. Heights h_j make the Brenier potential, the upper envelope of N planes,

    u(z) = max_j  z.y_j + h_j,        T(z) = grad u(z) = y_j  on the cell where plane j is highest,

and T carries the prior to the codes when each cell holds its mass b_j. In the terms of
`kantorovich`, psi_j = h_j + ‖y_j‖² / 2 belongs to the codes and D = phi to the noise:

    D(z) = max_j  psi_j - ‖z - y_j‖² / 2 = u(z) - ‖z‖² / 2,        T(z) = z + grad D(z).

Heights are determined up to a constant; here sum_j b_j h_j = 0. They maximise the semi-dual

    F(h) = sum_j b_j h_j - E u(z),        dF/dh_j = b_j - p_j,        p_j = P(z in cell j).
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
