from .images import fit_images as fit_images
from .model import ImageModel as ImageModel
from .plan import Plan as Plan
