"""How much memory there is to be had, read off files as Linux writes them."""

import pytest

from dacl.data.paging import _free_memory


@pytest.fixture
def write(tmp_path):
    def files(**texts):
        for name, text in texts.items():
            path = tmp_path / {"meminfo": "proc/meminfo"}.get(name, f"sys/fs/cgroup/memory.{name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return files


MEMINFO = "MemTotal:  64 kB\nMemFree:  3 kB\nMemAvailable:  20 kB\n"


def test_copies_of_files_count_as_free(write):
    assert _free_memory(write(meminfo=MEMINFO)) == 20 * 1024


def test_a_container_may_take_what_its_limit_leaves(write):
    limit = {"max": "16000\n", "current": "9000\n", "stat": "anon 4000\ninactive_file 2500\n"}
    assert _free_memory(write(meminfo=MEMINFO, **limit)) == 16000 - 9000 + 2500


def test_a_container_without_a_limit_has_the_machine(write):
    assert _free_memory(write(meminfo=MEMINFO, max="max\n", current="9000\n")) == 20 * 1024


def test_another_system_is_asked_itself(tmp_path):
    assert _free_memory(tmp_path) > 0
