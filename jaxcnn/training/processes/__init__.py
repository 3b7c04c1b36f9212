"""Runs of several processes: how they find each other, notice a lost one, and end on a signal."""
