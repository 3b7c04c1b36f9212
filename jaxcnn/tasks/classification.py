"""Classification: one label an image, measured by top-1 and top-5 accuracy."""
