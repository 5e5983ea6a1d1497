"""Starting points of a configuration: sizes, and readings of the contrast.

`paper`, `small` and `transunet` are sizes, `literal` and `dgcl` readings: `small+literal` is both. A size may
have other values where `image.dims` is 3.
"""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # The recipe of SSL4MIS that DACL's table presumes: 256x256, 12+12 slices, 30,000 steps. For a GPU.
    "paper": {},
    # For a CPU: 1.5 mm in plane, 128x128 crops in training, the full field at inference, 4+4 slices.
    "small": {
        "image": {"geometry": "resample", "patch_size": 128, "spacing_mm": 1.5},
        "optim": {"steps": 3000, "batch_labeled": 4, "batch_unlabeled": 4},
        "journal": {"log_every": 25, "validations": 4, "checkpoint_every": 250},
    },
    # TransUNet's 2D protocol of Synapse, which it trains with 24 slices of 224x224.
    "transunet": {"image": {"patch_size": 224}},
    # The printed equations as near as they can be computed; docs/decisions.md lists each gap that is left.
    "literal": {
        "contrast": {
            "unit": "class",
            "bank": "shared",
            "denominator": "decoupled",
            "reduction": "sum",
            "positiveness": "inside_attached",
            "tau_w": 1.0,
        },
    },
    # DGCL (Wang et al., CVPR 2023), from which density and sampling come; docs/decisions.md lists each gap.
    "dgcl": {
        "contrast": {
            "weight": 0.5,
            "schedule": "constant",
            "reliability": "entropy",
            "projection_dim": 256,
            "sample_cap": 10_000,
            "max_fraction": 0.5,
            "anchors": 200,
            "positives": 100,
            "negatives_from": "pixels",
            "density_from": "bank",
            "bank_size": 10_000,
            "bank_insert": 1000,
            "tau": 0.5,
            "positiveness": "none",
        },
    },
}
"""By name."""

THREE_D: dict[str, dict[str, Any]] = {
    # DHC's sizes: whole volumes at 80x160x160, patches of 64x128x128, 2+2 of them, a V-Net of 32 channels. For a GPU.
    "paper": {
        "image": {"dims": 3, "patch_size": 128, "patch_depth": 64},
        "network": {"width": 32},
        "optim": {"batch_labeled": 2, "batch_unlabeled": 2},
    },
    # For a CPU: 3 mm, patches of 64x64x64, 1+1 of them, a V-Net of 8 channels.
    "small": {
        "image": {
            "dims": 3,
            "patch_size": 64,
            "patch_depth": 64,
            "spacing_mm": 3.0,
            "slice_spacing_mm": 3.0,
        },
        "network": {"width": 8},
        "optim": {"batch_labeled": 1, "batch_unlabeled": 1},
    },
}
"""What a size changes where `image.dims` is 3."""
