from .correction import Correction as Correction
from .correction import PointsOffLawWarning as PointsOffLawWarning
from .correction import Trial as Trial
from .law import Codes as Codes
from .law import CodesMap as CodesMap
from .law import SumOfCodes as SumOfCodes
from .two_samples import energy_distance as energy_distance
