"""Unpacking of gzip against the gzip module."""

import gzip
import hashlib
import io
import zlib

import numpy as np
import pytest

from dacl.data.case import label_counts
from dacl.data.readers import nifti

NOISE = np.random.default_rng(0).bytes(100_000)
WHOLE = gzip.compress(NOISE, 1)
ZEROS = gzip.compress(bytes(3_000_000))  # a piece of it unpacks to a thousand pieces


@pytest.fixture
def inflated(tmp_path):
    def inflate(packed):
        path, digest = tmp_path / "packed", hashlib.sha256()
        path.write_bytes(packed)
        with path.open("rb") as file:
            content = b"".join(nifti._inflated(file, digest))
        assert digest.digest() == hashlib.sha256(packed).digest()
        return content

    return inflate


@pytest.mark.parametrize("piece", [4096, 2**20])
@pytest.mark.parametrize(
    "packed",
    [WHOLE, WHOLE + WHOLE, WHOLE + bytes(5000), WHOLE + bytes(7) + ZEROS, ZEROS, gzip.compress(b""), b""],
    ids=["one", "two members", "padded", "padded between", "zeros", "of nothing", "empty file"],
)  # fmt: skip
def test_sound_files_unpack_as_the_gzip_module_unpacks_them(packed, piece, inflated, monkeypatch):
    monkeypatch.setattr(nifti, "_PIECE", piece)
    assert inflated(packed) == gzip.GzipFile(fileobj=io.BytesIO(packed)).read()


@pytest.mark.parametrize("piece", [4096, 2**20])
@pytest.mark.parametrize(
    "packed",
    [WHOLE[:-1], WHOLE[:-9], WHOLE[:5000], WHOLE[:5], WHOLE[:-4] + b"abcd", b"hello", WHOLE + b"rest"],
    ids=["a byte", "the sums", "most", "all but the header", "a wrong sum", "no gzip", "and more"],
)  # fmt: skip
def test_damaged_files_are_refused(packed, piece, inflated, monkeypatch):
    monkeypatch.setattr(nifti, "_PIECE", piece)
    with pytest.raises((EOFError, zlib.error, gzip.BadGzipFile)):
        inflated(packed)


@pytest.mark.parametrize("shape", [(2, 5, 4), (3, 5, 5), (0, 4, 4)], ids=str)
@pytest.mark.parametrize(
    ("dtype", "values"), [(np.uint8, 5), (np.uint8, 200), (np.int16, 5), (np.int16, 400)]
)
def test_label_counts(shape, dtype, values):
    label = np.random.default_rng(1).integers(0, values, shape).astype(dtype)
    counts = label_counts(label)
    assert counts.tolist() == [(label == value).sum() for value in range(len(counts))]
    assert len(counts) == max(256, int(label.max(initial=0)) + 1)
    assert counts.sum() == label.size
