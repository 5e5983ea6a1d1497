"""What a segmentation is worth: overlap, surface distances, conventions for empty masks, summaries."""
