"""Arrays in a file."""

import errno
import os
import tempfile

import numpy as np
import pytest

from dacl.inference.scratch import scratch_array


@pytest.mark.parametrize("order", ["C", "F"])
def test_it_is_an_array_of_zeros_that_keeps_what_is_written(order: str) -> None:
    with tempfile.TemporaryFile() as file:
        array = scratch_array(file, (2, 3, 4), order)
        assert array.dtype == np.float32
        assert array.flags["F_CONTIGUOUS"] == (order == "F")
        assert not array.any()
        array[1, 2, 3] = 5
        array.flush()
        file.seek(0)
        assert np.frombuffer(file.read(), np.float32)[-1] == 5


def test_a_disk_without_room_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, f"no room for {size}")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with tempfile.TemporaryFile() as file, pytest.raises(OSError, match="no room for 96"):
        scratch_array(file, (2, 3, 4))
