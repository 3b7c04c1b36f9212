"""A trained network in use: predictions, evaluations, protocols of crops and scales, ensembles, restored images.

inference.py, batched.py                    a network meets images: normalised, in batches of one size, compiled once
trained.py, opened.py                       the network of a run directory, and the data that it is used on
protocols.py, ensemble.py, error_table.py   averages over views of an image and over networks, and their errors
latent.py                                   the code of an autoencoder: walks in it, PCA beside it
samples.py                                  generated images: written as class folders, measured by a classifier
restored.py, whole.py                       images restored at full size, and how well: files, and those of a split
"""
