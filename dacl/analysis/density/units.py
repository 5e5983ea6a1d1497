"""What the contrast sees of a checkpoint in batches as training draws them: its units with their densities, its choice.

A method without a contrast is looked at through DACL's eyes: the same selection on the decoder map itself, with no
projection and no bank.

Legend: M units of a class, L rows of the bank, D width of the space.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import nn

from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.methods.dacl import Dacl
from dacl.methods.density_contrast import DensityContrast, Selection
from dacl.networks.heads import NoProjection
from dacl.seeding import stream, stream_seed
from dacl.training.checkpoint import Trained
from dacl.training.feed import Feed

Space = Literal["projection", "features"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDensity:
    """The units of one foreground class in the batches looked at. Densities lie in [-1, 1]."""

    name: str
    density_M: Float[np.ndarray, "M"]
    anchor_M: Bool[np.ndarray, "M"]
    """Eq. 6: taken as anchors in their batch."""
    key_M: Bool[np.ndarray, "M"]
    """Eq. 7: taken as keys in their batch."""
    batch_M: Integer[np.ndarray, "M"]
    """Which batch a unit is of."""
    units_MD: Float[np.ndarray, "M D"]
    """Unit vectors."""
    bank_LD: Float[np.ndarray, "L D"]
    """Rows of the bank that are written; none without a bank."""
    bank_key_L: Bool[np.ndarray, "L"]
    active_batches: int
    """Batches in which the class had anchors, keys and the neighbours that the scales ask for."""

    def summary(self) -> dict[str, Any]:
        """Counts, means and quantiles; None where nothing is there."""

        def mean(values: np.ndarray) -> float | None:
            return float(values.mean()) if len(values) else None

        quantiles = (5, 25, 50, 75, 95)
        found = np.percentile(self.density_M, quantiles).tolist() if len(self.density_M) else []
        tightness = np.linalg.norm(self.units_MD.mean(axis=0)) if len(self.units_MD) else None
        return {
            "units": len(self.density_M),
            "anchors": int(self.anchor_M.sum()),
            "keys": int(self.key_M.sum()),
            "bank": len(self.bank_LD),
            "bank_keys": int(self.bank_key_L.sum()),
            "active_batches": self.active_batches,
            "density": mean(self.density_M),
            "density_percentiles": dict(zip(map(str, quantiles), found, strict=False)),
            "anchor_density": mean(self.density_M[self.anchor_M]),
            "key_density": mean(self.density_M[self.key_M]),
            "compactness": None if tightness is None else float(tightness),
        }


def choose_space(trained: Trained, asked: Literal["auto", "projection", "features"]) -> Space:
    """The projection where there is one, else the decoder map.

    Raises:
        DaclError: a projection was asked for, and the method has none.
    """
    has_head = isinstance(trained.method, Dacl)
    if asked == "projection" and not has_head:
        raise DaclError(
            f"{trained.path} is a run of {trained.config.method}, which has no projection head",
            "look at its decoder features: --space features",
        )
    return "projection" if has_head and asked != "features" else "features"


def as_contrast(trained: Trained, space: Space) -> Dacl:
    """The trained networks as a DACL whose contrast looks at `space`.

    `projection` is the method itself. For `features` the head is the identity and the bank empty, so that density is
    that of the batch alone; a single network is its own partner.
    """
    method = trained.method
    if space == "projection":
        assert isinstance(method, Dacl)
        return method
    config = trained.config
    contrast = config.contrast.model_copy(
        update={
            "unit": "pixel", "projection_dim": 2 * config.network.width, "bank_size": 0,
            "bank": "per_network", "keys_from": "batch", "density_from": "batch",
        }
    )  # fmt: skip
    seen = Dacl(
        config.model_copy(update={"method": "dacl", "contrast": contrast}),
        trained.meta.channels, method.classes,
    )  # fmt: skip
    own = dict(method.networks.items())
    seen.networks = nn.ModuleDict({name: own.get(name, own["a"]) for name in seen.network_names})
    for part in seen.contrast.values():
        part.head = NoProjection()
    return seen


@torch.no_grad()
def densities_of_batches(
    trained: Trained,
    dataset: PreparedDataset,
    *,
    space: Space,
    network: str,
    batches: int,
    seed: int,
    device: torch.device,
) -> list[ClassDensity]:
    """What the contrast of `network` selects in the batches that training would draw next.

    As in a step: slices of the labelled and of the unlabelled patients, augmented, under dropout and the batch's own
    statistics (both from `seed`). No label of an unlabelled patient is read. The weights are not changed, the bank
    neither.
    """
    seen = as_contrast(trained, space)
    feed = Feed(trained.config, dataset, device, unlabeled=trained.method.uses_unlabeled)
    contrast = seen.contrast[network]
    assert isinstance(contrast, DensityContrast)
    statistics = {key: value.clone() for key, value in trained.method.state_dict().items()}
    selections: list[Selection] = []
    last = trained.config.optim.steps - 1
    seen.train()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(stream_seed(seed, "density"))
            for number in range(batches):
                batch = feed.batch(trained.step + number)
                outputs = seen.forward_networks(batch.images)
                classes_BHW = seen.reliable(network, outputs, batch, min(trained.step, last))
                draws = contrast.draw(
                    stream(seed, "density", network, number, device=device),
                    images=len(classes_BHW), pixels=classes_BHW.numel(),
                )  # fmt: skip
                selections.append(contrast.select(outputs[network].features, classes_BHW, draws))
    finally:
        seen.eval()
        trained.method.load_state_dict(statistics)  # train mode moves the batch norms' averages
    return [
        _class_density(contrast, selections, place, name)
        for place, name in enumerate(trained.meta.class_names[1:])
    ]


def _class_density(
    contrast: DensityContrast, selections: list[Selection], place: int, name: str
) -> ClassDensity:
    density, anchor, key, units, numbers = [], [], [], [], []
    for number, chosen in enumerate(selections):
        valid_M = chosen.units.valid_CM[place]
        marks = []
        for part in (chosen.anchors, chosen.keys):
            mark_M = torch.zeros_like(valid_M)
            mark_M[part.index_CM[place][part.valid_CM[place]]] = True
            marks.append(mark_M[valid_M])
        density.append(chosen.density_CM[place][valid_M])
        units.append(chosen.units.units_CMD[place][valid_M])
        anchor.append(marks[0])
        key.append(marks[1])
        numbers.append(np.full(len(marks[1]), number))
    bank, bank_keys = contrast.bank, selections[-1].bank_keys
    bank_key_L = torch.zeros(bank.length, dtype=torch.bool, device=bank.features_CLD.device)
    bank_key_L[bank_keys.index_CM[place][bank_keys.valid_CM[place]]] = True
    written_L = bank.valid_CL[place]
    active = sum(
        bool(chosen.enough_C[place]) and len(marked) > 0 and int(marked.sum()) >= 2
        for chosen, marked in zip(selections, anchor, strict=True)
    )
    return ClassDensity(
        name=name,
        density_M=torch.cat(density).cpu().numpy(),
        anchor_M=torch.cat(anchor).cpu().numpy(),
        key_M=torch.cat(key).cpu().numpy(),
        batch_M=np.concatenate(numbers),
        units_MD=torch.cat(units).cpu().numpy(),
        bank_LD=bank.features_CLD[place][written_L].cpu().numpy(),
        bank_key_L=bank_key_L[written_L].cpu().numpy(),
        active_batches=active,
    )
