"""Loss curves are read from the log of a training that was resumed."""

from __future__ import annotations

from models.starter.curves import HEIGHT, WIDTH, draw_curves, read_curves

LOG = """04:00:00 refine 50 l1 0.0600
04:00:10 diffusion 50 loss 0.9000 5s
04:00:20 diffusion 100 loss 0.5000 9s
04:00:30 diffusion 150 loss 0.4000 9s
04:00:40 diffusion 100 loss 0.4500 3s
"""


def test_steps_done_again_replace_those_before() -> None:
    curves = read_curves(LOG)
    assert curves == {"refine": [(50, 0.06)], "diffusion": [(50, 0.9), (100, 0.45)]}


def test_each_stage_gets_a_panel_with_a_line() -> None:
    picture = draw_curves(read_curves(LOG))
    assert picture.size == (2 * WIDTH, HEIGHT)
    assert (44, 102, 226) in {color for _, color in picture.getcolors(100_000) or []}
