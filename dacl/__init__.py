"""Semi-supervised medical image segmentation with density-aware contrastive learning."""

__version__ = "0.1.0"
