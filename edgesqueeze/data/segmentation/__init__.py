"""Images with masks, in folders, and in the layouts of Pascal VOC and of the Oxford-IIIT Pet data set."""
