"""Density-aware contrastive learning, one idea of the paper a file.

Legend of shape suffixes:
    B images   N classes with background   C foreground classes   P pixels of all B feature maps
    I images of all ranks, where several train together: those of one are its B, and P are the pixels of all I
    M units of a class, padded   K candidate neighbours   Q anchors   S keys   R negatives   L bank length
    D width of the projection space
Maps of any number of spatial axes, *S, serve: H W, or D H W, whose voxels are called pixels too.

A unit is what the contrast treats as one feature: a reliable pixel, or a class prototype of one image. Classes hold
different numbers of units, so tensors are padded and travel with a mask (`valid_CM`): no loop over classes and, on a
GPU, no wait for the device.
"""
