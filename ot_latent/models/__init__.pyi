from . import autoencoders as autoencoders
from . import checkpoints as checkpoints
from . import classifiers as classifiers
from . import gans as gans
from . import generators as generators
from . import networks as networks
from . import objectives as objectives
