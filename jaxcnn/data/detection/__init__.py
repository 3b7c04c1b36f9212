"""Images with boxes: VOC's layout, COCO's, composed scenes; and proposals of boxes for any images."""
