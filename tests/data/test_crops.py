from dacl.data.crops import draw_crops


def test_without_mirroring_only_the_mirrors_go():
    with_them, without = draw_crops(50, 3), draw_crops(50, 3, mirror=False)
    assert any(any(crop.mirrored) for crop in with_them)
    assert not any(any(crop.mirrored) for crop in without)
    assert [crop[:4] for crop in with_them] == [crop[:4] for crop in without]
