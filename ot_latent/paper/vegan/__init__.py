"""The statements of Bousquet et al. (2017), one file each, on problems small enough to be solved exactly."""
