"""Segmentation networks and projection heads."""
