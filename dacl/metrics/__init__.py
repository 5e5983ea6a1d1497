"""What a segmentation is worth: overlap, surface distances, empty masks, averages."""
