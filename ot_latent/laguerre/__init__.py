"""Laguerre cells: which of N planes is highest, the masses of their cells, and the ascent of the semi-dual.

The equations stand in `semidiscrete`.
"""

from ot_latent.laguerre.ascent import Ascent as Ascent
from ot_latent.laguerre.cells import Cells as Cells
from ot_latent.laguerre.certificate import Estimate as Estimate
from ot_latent.laguerre.certificate import estimate_mass_error as estimate_mass_error
from ot_latent.laguerre.dual import TABLE as TABLE
from ot_latent.laguerre.dual import SemiDual as SemiDual
from ot_latent.laguerre.dual import interval_heights as interval_heights
