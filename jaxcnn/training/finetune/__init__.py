"""Fine-tuning: the network that a run begins from, and the layers that stay or learn slowly."""
