"""Images with boxes around their objects: VOC's layout, COCO's, and composed scenes."""
