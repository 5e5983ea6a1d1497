import pytest

from dacl.data.readers.classes import Classes, in_order, parse
from dacl.errors import DaclError

KNOWN = {"background": 0, "kidney_left": 1, "kidney_right": 2, "liver": 5}


@pytest.mark.parametrize(
    ("text", "values", "index"),
    [
        ("liver,kidney", {"liver": (1,), "kidney": (2,)}, {0: 0, 1: 1, 2: 2}),
        (
            "liver=200, kidney=500+600",
            {"liver": (200,), "kidney": (500, 600)},
            {0: 0, 200: 1, 500: 2, 600: 2},
        ),
        ("liver=-1, kidney=-2+3", {"liver": (-1,), "kidney": (-2, 3)}, {0: 0, -1: 1, -2: 2, 3: 2}),
        ("liver=1,background=7+8", {"liver": (1,)}, {0: 0, 7: 0, 8: 0, 1: 1}),
    ],
)
def test_names_and_values(text, values, index):
    classes = parse(text)
    assert dict(classes.values) == values
    assert classes.index == index
    assert classes.names == ("background", *values)
    assert parse(classes.option) == classes


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("liver", {0: 0, 5: 1, 1: 0, 2: 0}),
        ("liver,kidney=kidney_left+kidney_right", {0: 0, 5: 1, 1: 2, 2: 2}),
        ("spleen=9,liver", {0: 0, 9: 1, 5: 2, 1: 0, 2: 0}),
    ],
)
def test_names_of_the_dataset(text, index):
    assert parse(text, KNOWN).index == index


@pytest.mark.parametrize(
    ("text", "known", "said"),
    [
        ("liver=1,kidney", None, "some classes have values and others none"),
        ("liver=x", None, "'x' is no value"),
        ("", None, "needs a name"),
        ("liver=1,,", None, "some classes have values"),
        ("a,b,a", None, "'a' twice"),
        ("a=1,b=1", None, "value 1 in two classes"),
        ("a=0", None, "value 0 is background"),
        ("a=-0", None, "value 0 is background"),
        ("a=--1", None, "'--1' is no value"),
        ("background=3", None, "names no class"),
        ("lever", KNOWN, "no class 'lever'; did you mean liver?"),
        ("liver=", KNOWN, "no class ''"),
    ],
)
def test_what_cannot_be_is_said(text, known, said):
    with pytest.raises(DaclError, match=said) as caught:
        parse(text, known)
    assert caught.value.hint


def test_unknown_values_get_an_option_to_type():
    classes = parse("liver=200,kidney=500")
    fix = classes.fix([600])
    named, dropped = (part.split("--classes ")[1] for part in fix.split("; or "))
    assert parse(named).index == {0: 0, 200: 1, 500: 2, 600: 3}
    assert parse(dropped).index == {0: 0, 200: 1, 500: 2, 600: 0}


def test_values_in_order():
    assert in_order({600, 0, 200}) == Classes({"class1": (200,), "class2": (600,)})
    with pytest.raises(DaclError, match="300 classes, at most 255"):
        in_order(range(301))
