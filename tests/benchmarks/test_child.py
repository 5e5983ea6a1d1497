"""A job in a process of its own, and the environment it gets."""

import numpy as np
import pytest

from benchmarks.child import NO_MMAP, allocator_here, environment, in_child


def holding(megabytes):
    """A job that takes so much at its highest, beside as much that making ready has freed again."""
    np.ones(2 * megabytes * 10**6, np.uint8)
    return lambda: np.ones(megabytes * 10**6, np.uint8).sum()


def test_memory_is_what_the_job_took():
    outcome = in_child("tests.benchmarks.test_child:holding", 60, allocator="default", calls=2)
    assert outcome.memory.job_mb == pytest.approx(60, abs=8)
    assert outcome.memory.peak_mb > outcome.memory.before_mb > 5
    assert 0 < outcome.seconds < 5


def test_the_allocator_is_a_matter_of_the_environment(monkeypatch):
    for name in NO_MMAP:
        monkeypatch.delenv(name, raising=False)
    assert allocator_here() == "default"
    assert not set(NO_MMAP) & set(environment("default"))
    assert environment("no-mmap").items() >= NO_MMAP.items()
    assert environment("default", threads=3)["OMP_NUM_THREADS"] == "3"
    for name, value in environment("no-mmap").items():
        monkeypatch.setenv(name, value)
    assert allocator_here() == "no-mmap"
    assert not set(NO_MMAP) & set(environment("default"))
