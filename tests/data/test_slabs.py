import mmap
import resource
from pathlib import Path

import numpy as np
import pytest

from dacl.data import slabs as module
from dacl.data.slabs import converted, slabs, spooled
from dacl.errors import DaclError


@pytest.fixture
def small_slabs(monkeypatch):
    monkeypatch.setattr(module, "SLAB_BYTES", 100)


def mapped_file(array, path):
    path.write_bytes(array.tobytes())
    with path.open("rb") as file:
        return module.mapped(file, array.shape, array.dtype)


def test_slabs_are_runs_of_slices_in_order(small_slabs):
    array = np.arange(7 * 4 * 5, dtype=np.int16).reshape(7, 4, 5)
    parts = list(slabs(array))  # 40 bytes a slice
    assert [len(part) for part in parts] == [2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(parts), array)


def test_a_slice_above_the_size_is_a_slab(small_slabs):
    assert [part.shape for part in slabs(np.zeros((3, 20, 20)))] == [(1, 20, 20)] * 3


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)])
def test_slabs_of_a_turned_file_are_contiguous_and_in_order(small_slabs, tmp_path, axes):
    stored = np.random.default_rng(0).integers(0, 99, (6, 7, 8), np.int16)
    turned = mapped_file(stored, tmp_path / "x").transpose(axes)[:, ::-1]
    parts = list(slabs(turned))
    assert all(part.flags.c_contiguous for part in parts)
    np.testing.assert_array_equal(np.concatenate(parts), stored.transpose(axes)[:, ::-1])


def test_no_voxels_no_slabs():
    assert list(slabs(np.zeros((0, 3, 4)))) == []
    assert [part.size for part in slabs(np.zeros((2, 0, 4)))] == [0]
    assert converted(np.zeros((0, 3, 4)), np.dtype(np.uint8), np.negative).shape == (0, 3, 4)


def test_what_is_converted_lies_in_a_file_and_is_read_only(small_slabs):
    array = np.arange(60.0).reshape(5, 3, 4)
    doubled = converted(array, np.dtype(np.int16), lambda part: part * 2)
    np.testing.assert_array_equal(doubled, array * 2)
    base = doubled
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)
    with pytest.raises(ValueError, match="read-only"):
        doubled[0] = 0


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(
    not hasattr(mmap, "MADV_DONTNEED"), reason="pages stay where the system leaves them"
)
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0)])
def test_memory_stays_that_of_a_slab(tmp_path, axes):
    volume = mapped_file(np.ones((400, 256, 256), np.float32), tmp_path / "x").transpose(axes)
    before = resident_bytes()
    highest = max(resident_bytes() - before + 0 * part[0].sum() for part in slabs(volume))
    assert highest < 5 * module.SLAB_BYTES  # of 100 MiB


def test_no_room_for_a_temporary_file_is_said_with_its_remedy():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(DaclError, match="cannot unpack") as caught:
            spooled([np.zeros((2, 64, 64))], (2, 64, 64), np.dtype(np.float64))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "TMPDIR" in caught.value.hint
