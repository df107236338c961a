"""What boxes share, worked by hand."""

import numpy as np

from facefill.imaging.boxes import area, overlap, share_of_smaller

ONE = (0, 0, 4, 4)
OTHERS = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [4, 4, 8, 8], [1, 1, 3, 3]], np.float32)


def test_overlap_is_intersection_over_union() -> None:
    np.testing.assert_allclose(overlap(ONE, OTHERS), [1, 1 / 3, 0, 1 / 4])
    assert overlap(ONE, OTHERS[1]) == overlap(OTHERS[1], ONE)


def test_a_box_inside_another_shares_all_of_itself() -> None:
    np.testing.assert_allclose(share_of_smaller(ONE, OTHERS), [1, 1 / 2, 0, 1])
    assert share_of_smaller((1, 1, 1, 3), ONE) == 0, "a box without any area"


def test_area_of_one_and_of_several() -> None:
    assert area(ONE) == 16
    np.testing.assert_allclose(area(OTHERS), [16, 16, 16, 4])
