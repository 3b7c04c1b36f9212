"""A trained network and its worth: predictions, protocols of several crops and scales, ensembles."""
