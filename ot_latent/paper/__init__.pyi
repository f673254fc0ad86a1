from . import figures as figures
from . import operation_figures as operation_figures
from . import table2 as table2
from . import transport_figures as transport_figures
from . import vegan as vegan
from .perturbation import exact_perturbation as exact_perturbation
from .perturbation import simulate_perturbation as simulate_perturbation
from .run import Run as Run
