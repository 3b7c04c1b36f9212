"""The files of a run directory, one kind a module."""
