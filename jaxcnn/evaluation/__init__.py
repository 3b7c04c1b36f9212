"""A trained network in use: predictions, evaluations, protocols of several crops and scales, ensembles.

inference.py, batched.py                    a network meets images: normalised, in batches of one size, compiled once
trained.py, opened.py                       the network of a run directory, and the data that it is used on
protocols.py, ensemble.py, error_table.py   averages over views of an image and over networks, and their errors
"""
