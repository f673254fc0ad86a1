from .codes import fit_codes as fit_codes
from .images import fit_images as fit_images
from .model import ImageModel as ImageModel
from .plan import Plan as Plan
