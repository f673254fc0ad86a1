"""Experiments on the theorems of Bousquet 2017, the VEGAN cookbook: what notebooks 14 and 15 run."""
