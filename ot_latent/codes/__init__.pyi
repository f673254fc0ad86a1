from .correction import Correction as Correction
from .correction import PointsOffLawWarning as PointsOffLawWarning
from .law import Codes as Codes
from .law import CodesMap as CodesMap
from .law import SumOfCodes as SumOfCodes
from .two_samples import Gain as Gain
from .two_samples import Trial as Trial
