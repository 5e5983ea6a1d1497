import pytest

from dacl.data.splits import Split, named, published_slices, random_split, resolve
from dacl.errors import DaclError

PATIENTS = [f"patient{n:03d}" for n in range(1, 21)]


def test_ssl4mis_is_the_published_split():
    split = named("ssl4mis", "acdc")
    assert [len(split.train), len(split.val), len(split.test)] == [70, 10, 20]
    assert split.labeled(3) == ("patient099", "patient038", "patient050")
    assert set(split.patients) == {f"patient{n:03d}" for n in range(1, 101)}


def test_the_development_split_never_sees_the_published_test_patients():
    whole, dev = named("ssl4mis", "acdc"), named("ssl4mis-dev", "acdc")
    assert dev.train == whole.train[:50]
    assert dev.val == whole.val
    assert dev.test == whole.train[-20:]
    assert not set(dev.patients) & set(whole.test)


def test_published_slice_counts():
    assert published_slices("ssl4mis", "acdc")[3] == 68
    assert published_slices("ssl4mis-dev", "acdc")[7] == 136
    assert 70 not in published_slices("ssl4mis-dev", "acdc")
    assert published_slices("random:0", "acdc") == {}


def test_the_hash_is_of_the_patients_in_order():
    split = Split("a", ("p1", "p2"), ("p3",), ("p4",))
    assert split.hash == Split("another name", ("p1", "p2"), ("p3",), ("p4",), ("p9",)).hash
    assert split.hash != Split("a", ("p2", "p1"), ("p3",), ("p4",)).hash
    assert split.hash != Split("a", ("p1", "p2"), ("p4",), ("p3",)).hash


@pytest.mark.parametrize("parts", [("aa", "b", "c"), ("ab", "b", "c"), ("a", "b", "ac")])
def test_a_patient_stands_in_one_part_and_once(parts):
    with pytest.raises(DaclError):
        Split("bad", *map(tuple, parts))


@pytest.mark.parametrize("n", [0, -1, 3])
def test_labeled_says_the_valid_range(n):
    with pytest.raises(DaclError, match="from 1 to 2"):
        Split("a", ("p1", "p2"), (), ()).labeled(n)


def test_restriction_names_the_missing_and_keeps_the_order():
    split = Split("a", ("p3", "p1", "p2"), ("p4",), ("p5",)).restricted_to(["p2", "p3", "p5", "p9"])
    assert split == Split("a", ("p3", "p2"), (), ("p5",), ("p1", "p4"))


def test_random_is_70_10_20_of_the_labeled_and_depends_on_the_seed():
    split = random_split(1, PATIENTS, ["patient999"])
    assert [len(split.train), len(split.val), len(split.test)] == [15, 2, 4]
    assert set(split.patients) == {*PATIENTS, "patient999"}
    assert split.train[-1] == "patient999"
    assert split == random_split(1, reversed(PATIENTS), ["patient999"])
    assert split.hash != random_split(2, PATIENTS, ["patient999"]).hash


def test_random_is_the_same_everywhere():
    assert random_split(0, PATIENTS).test == (
        "patient006",
        "patient002",
        "patient012",
        "patient010",
    )


def test_resolve():
    assert resolve("random:3", "acdc", PATIENTS) == random_split(3, PATIENTS)
    assert len(resolve("ssl4mis", "acdc", PATIENTS).missing) == 80
    with pytest.raises(DaclError, match=r"ssl4mis, ssl4mis-dev, random:SEED"):
        resolve("official", "acdc", PATIENTS)
    with pytest.raises(DaclError, match="random:0"):
        resolve("random:x", "acdc", PATIENTS)
    with pytest.raises(DaclError, match="at least 3"):
        resolve("random:1", "acdc", PATIENTS[:2])
