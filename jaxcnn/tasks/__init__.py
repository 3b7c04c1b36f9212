"""What is learned from a batch and how it is measured, one kind of task a file; `task.py` is the contract."""
