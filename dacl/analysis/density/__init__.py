"""What the contrast sees of a checkpoint: densities, anchors and keys of batches, of a slice, and over the training."""
