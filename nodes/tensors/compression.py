"""Pictures as they look after a lossy video codec."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

_LEAST_QUALITY: Final = 51  # the largest rate factor that H.264 has


def compressed(picture: Tensor, rate_factor: int) -> Tensor:
    """One picture [H, W, C] after H.264 with 4:2:0 colours, [H', W', 3]: sides become even.

    A picture with a side of one pixel stays as it is.
    """
    import av

    height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
    if height == 0 or width == 0:
        return picture[..., :3]
    levels = (picture[:height, :width, :3].cpu() * 255).clamp(0, 255).to(torch.uint8)
    film = io.BytesIO()
    with av.open(film, "w", format="mp4") as container:
        options = {"crf": str(min(rate_factor, _LEAST_QUALITY))}
        stream: Any = container.add_stream("h264", rate=1, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(levels.numpy()), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    film.seek(0)
    with av.open(film, "r") as container:
        decoded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return torch.from_numpy(decoded).float().div_(255).to(picture)
