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


def test_over_all_folds_every_patient_is_tested_once():
    folds = [resolve(f"kfold:5:{i}", "mine", PATIENTS, ["u1"]) for i in range(5)]
    assert sorted(p for split in folds for p in split.test) == PATIENTS
    assert sorted(p for split in folds for p in split.val) == PATIENTS
    for i, split in enumerate(folds):
        assert [len(split.train), len(split.val), len(split.test)] == [13, 4, 4]
        assert split.test == folds[(i + 1) % 5].val
        assert split.train[-1] == "u1"
        assert set(split.patients) == {*PATIENTS, "u1"}
    assert folds[0] == resolve("kfold:5:0", "mine", reversed(PATIENTS), ["u1"])


@pytest.mark.parametrize("name", ["kfold", "kfold:2:0", "kfold:5:5", "kfold:5", "kfold:a:0"])
def test_folds_that_are_none(name):
    with pytest.raises(DaclError, match="is no fold"):
        resolve(name, "mine", PATIENTS)


def test_more_folds_than_patients():
    with pytest.raises(DaclError, match="2 labeled patients cannot be cut into 3 folds"):
        resolve("kfold:3:0", "mine", PATIENTS[:2])


SETS = Split("a", ("p1", "p2", "p3", "p4"), ("p5",), ("p6",), labeled_sets={2: ("p4", "p2")})


def test_a_published_set_goes_before_the_order():
    assert SETS.labeled(2) == ("p4", "p2")
    assert SETS.labeled(3) == ("p1", "p2", "p3")


def test_a_published_set_is_never_used_in_part():
    here = SETS.restricted_to(["p1", "p2", "p3"])
    with pytest.raises(DaclError, match=r"publishes p4, p2 .* not in this dataset: p4") as caught:
        here.labeled(2)
    assert "--labeled-cases" in caught.value.hint
    assert here.labeled(3) == ("p1", "p2", "p3")


def test_the_published_sets_of_synapse():
    sets = {
        name: {n: named(name, "synapse").labeled(n) for n in named(name, "synapse").labeled_sets}
        for name in ("dhc-2023", "genericssl", "skcdf")
    }
    assert sets == {
        "dhc-2023": {
            2: ("0023", "0028"),
            4: ("0002", "0023", "0034", "0039"),
            8: ("0002", "0009", "0021", "0023", "0027", "0031", "0032", "0037"),
        },
        "genericssl": {4: ("0009", "0021", "0025", "0034")},
        "skcdf": {2: ("0007", "0030"), 4: ("0021", "0023", "0028", "0032")},
    }
    transunet = named("transunet", "synapse")
    assert [len(transunet.train), len(transunet.val), len(transunet.test)] == [18, 0, 12]
    assert transunet.labeled(2) == ("0031", "0007")


def test_drawn_patients_have_masks_and_depend_on_the_seed_alone():
    drawn = SETS.drawn(2, "random:0", {"p1", "p3", "p4"})
    assert len(drawn) == 2
    assert set(drawn) < {"p1", "p3", "p4"}
    assert drawn == SETS.drawn(2, "random:0", {"p4", "p3", "p1"})
    assert drawn == SETS.drawn(3, "random:0", {"p1", "p3", "p4"})[:2]
    assert len({SETS.drawn(2, f"random:{seed}", {"p1", "p3", "p4"}) for seed in range(20)}) > 1
    with pytest.raises(DaclError, match="4 labeled patients asked for, 3 train patients"):
        SETS.drawn(4, "random:0", {"p1", "p3", "p4"})


def test_chosen_patients_are_taken_in_the_order_named():
    assert SETS.chosen(("p3", "p1"), {"p1", "p3"}) == ("p3", "p1")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("p5",), "'p5' is in val, not in train of split 'a'"),
        (("p9",), "'p9' is in no part, not in train"),
        (("p2",), "'p2' has no mask"),
        (("p1", "p1"), "named twice"),
    ],
)
def test_patients_that_cannot_be_chosen(names, said):
    with pytest.raises(DaclError, match=said):
        SETS.chosen(names, {"p1", "p3"})
    with pytest.raises(DaclError, match="is not in this dataset"):
        SETS.restricted_to(["p1"]).chosen(("p3",), {"p1"})
