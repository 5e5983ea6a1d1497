"""Segmentations of several runs beside the truth, as papers print them."""
