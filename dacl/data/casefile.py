"""The file of a case, ``cases/<id>.h5``: ``image`` and ``label``, both (Z, H, W), one slice per chunk.

An image of several channels is (C, Z, H, W). The geometry is in the attributes.
"""

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dacl.atomic import replacing
from dacl.data.case import Case
from dacl.data.slabs import slabs

FORMAT = 1
# What h5py raises on a damaged file depends on which bytes are hit.
DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError)


def case_path(root: Path, case_id: str) -> Path:
    """Return where a case lies in a prepared dataset."""
    return root / "cases" / f"{case_id}.h5"


class _Unfailing(io.FileIO):
    """A file that remembers its first failure instead of raising it.

    HDF5 cannot close a file once a write to it has failed, and the process would be left with it open.
    """

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all of it, if nothing has failed yet."""
        view = memoryview(content).cast("B")
        done = 0
        try:
            while done < len(view) and self.failure is None:
                done += super().write(view[done:]) or 0
        except OSError as error:
            self.failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size, if nothing has failed yet."""
        try:
            if self.failure is None:
                return super().truncate(size)
        except OSError as error:
            self.failure = error
        return size or 0


def write_case(path: Path, case: Case) -> None:
    """Write a case file atomically, some slices at a time; DaclError if the disk is full or read-only."""
    with replacing(path) as partial, _Unfailing(partial, "w+") as target:
        try:
            with h5py.File(target, "w") as file:
                _fill(file, case)
        except Exception as error:
            # What HDF5 says of its file after that is of no use.
            raise target.failure or error from error
        if target.failure is not None:
            raise target.failure


def _fill(file: h5py.File, case: Case) -> None:
    single = len(case.image_CZHW) == 1
    volumes = {
        "image": case.image_CZHW[0] if single else case.image_CZHW,
        "label": case.label_ZHW,
    }
    for name, volume in volumes.items():
        if volume is None:
            continue
        dataset = file.create_dataset(
            name,
            shape=volume.shape,
            dtype=volume.dtype,
            chunks=(*[1] * (volume.ndim - 2), *volume.shape[-2:]),
            compression="lzf",
            shuffle=True,
            fletcher32=True,
        )
        for prefix in np.ndindex(volume.shape[:-3]):
            z = 0
            for part in slabs(volume[prefix]):
                dataset[(*prefix, slice(z, z + len(part)))] = part
                z += len(part)
    file.attrs.update(
        format=FORMAT,
        id=case.id,
        patient=case.patient,
        phase=case.phase,
        affine=case.affine,
        source=json.dumps(case.source),
    )
    if case.spacing_mm is not None:
        file.attrs["spacing_mm"] = case.spacing_mm
    if case.header:
        file.attrs["header"] = np.void(case.header)
    if case.reading:
        file.attrs["reading"] = case.reading
    if case.orientation:
        file.attrs["orientation"] = case.orientation
    if (case.slope, case.inter) != (1.0, 0.0):
        file.attrs.update(slope=case.slope, inter=case.inter)


def holds(path: Path, case: Case) -> bool:
    """Whether a case file is there, undamaged to the last chunk, made from just these files and in this way."""
    try:
        with h5py.File(path) as file:
            if file.attrs["format"] != FORMAT or json.loads(file.attrs["source"]) != case.source:
                return False
            made = [str(file.attrs.get(key, "")) for key in ("reading", "orientation")]
            if made != [case.reading, case.orientation]:
                return False
            for volume in file.values():
                for prefix in np.ndindex(volume.shape[:-2]):
                    volume[prefix]
    except DAMAGE:
        return False
    return True
