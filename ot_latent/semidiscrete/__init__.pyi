from .classes import ClassCoupling as ClassCoupling
from .transport import ConvergenceWarning as ConvergenceWarning
from .transport import SemiDiscreteOT as SemiDiscreteOT
