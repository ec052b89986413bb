"""No encoder makes the worker run in real time, before everything else on the machine."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from nodes.avif_files import write_deep_avif
from nodes.encoder_threads import encode_frame, ordinary_scheduling, real_time_threads
from nodes.film_colors import FilmColors
from nodes.film_forms import FilmForm
from nodes.video_encoding import encode_video, encode_webm

IMAGES = torch.zeros(3, 64, 64, 3)


def run_in_real_time() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


@pytest.fixture(autouse=True)
def is_allowed() -> Iterator[None]:
    """Where nobody may run in real time, no encoder does."""
    try:
        with ordinary_scheduling():
            run_in_real_time()
    except PermissionError:
        pytest.skip("threads may not run in real time here")
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def test_a_thread_gets_its_ordinary_share_back() -> None:
    with ordinary_scheduling():
        run_in_real_time()
        assert real_time_threads()
    assert real_time_threads() == set()


def test_a_thread_that_ran_in_real_time_before_goes_on_so() -> None:
    run_in_real_time()
    with ordinary_scheduling():
        pass
    assert len(real_time_threads()) == 1


def test_the_threads_of_the_encoder_do_not_run_in_real_time_either() -> None:
    with av.open(io.BytesIO(), "w", format="matroska") as container:
        stream: Any = container.add_stream("libsvtav1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for image in IMAGES:
            container.mux(encode_frame(stream, FilmColors().frame(image)))
            assert real_time_threads() == set()
        container.mux(stream.encode(None))


def test_films_and_deep_pictures_leave_nothing_in_real_time(tmp_path: Path) -> None:
    encode_webm(IMAGES, tmp_path / "a.webm", codec="av1", fps=24, crf=30, metadata={})
    form = FilmForm(container="mkv", codec="av1", crf=30)
    encode_video(IMAGES, Fraction(24), None, tmp_path / "a.mkv", None, form)
    write_deep_avif(IMAGES, {}, 30, FilmColors(bit_depth=10), tmp_path / "a.avif")
    assert {path.name for path in tmp_path.iterdir()} == {"a.webm", "a.mkv", "a.avif"}
    assert real_time_threads() == set()
