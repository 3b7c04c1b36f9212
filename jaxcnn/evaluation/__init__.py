"""A trained network in use: predictions, evaluations, protocols of crops and scales, ensembles, restored images.

inference.py, batched.py                    a network meets images: normalised, in batches of one size, compiled once
trained.py, opened.py                       the network of a run directory, and the data that it is used on
protocols.py, ensemble.py, error_table.py   averages over views of an image and over networks, and their errors
calibration.py, class_scores.py             temperature and calibration error; precision, recall, F1 from a confusion
exported.py                                 one file that predicts without jaxcnn
latent.py                                   the code of an autoencoder: walks in it, PCA beside it
samples.py                                  generated images: written as class folders, measured by a classifier
restored.py, whole.py, tiles.py             images restored at full size, and how well: files, and those of a split
detected.py, written.py, outputs.py         objects and texts beside the true ones; the files that are made of files
"""
