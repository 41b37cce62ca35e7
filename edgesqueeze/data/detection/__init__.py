"""Images with boxes, in the layouts of Pascal VOC, COCO and YOLO."""
