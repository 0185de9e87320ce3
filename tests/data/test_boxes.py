"""Rectangles in whole pixels, by hand."""

import torch

from fieldmark.data.boxes import areas, pixel_boxes


def box(top: float, bottom: float, left: float, right: float) -> list[int]:
    edges = {"top_N": top, "bottom_N": bottom, "left_N": left, "right_N": right}
    tensors = {name: torch.tensor([value]) for name, value in edges.items()}
    (pixels,) = pixel_boxes(**tensors, height=10, width=20).tolist()
    return list(pixels)


def test_edges_are_shares_of_their_own_side() -> None:
    assert box(0.2, 0.5, 0.2, 0.5) == [2, 5, 4, 10]


def test_edges_are_rounded_to_the_nearest_pixel() -> None:
    assert box(0.16, 0.54, 0.12, 0.38) == [2, 5, 2, 8]


def test_what_sticks_out_is_cut_off() -> None:
    assert box(-0.3, 1.2, -5.0, 0.5) == [0, 10, 0, 10]


def test_the_area_is_what_the_slices_hold() -> None:
    picture = torch.zeros(10, 20)
    top, bottom, left, right = box(0.2, 0.5, 0.9, 1.3)
    picture[top:bottom, left:right] = 1
    assert areas(torch.tensor([[top, bottom, left, right]])).tolist() == [int(picture.sum())]
