"""What networks say of the space in pictures: MOGE_GEOMETRY and DA3_GEOMETRY on links.

Cameras look as in OpenCV: x to the right, y down, z ahead.
"""

from __future__ import annotations

from typing import TypedDict

from torch import Tensor


class PointMaps(TypedDict, total=False):
    """MOGE_GEOMETRY: where in space the pixels of pictures lie, float32 on the CPU.

    What a network does not say is absent. A panorama (equirectangular, ahead in its middle) has no
    intrinsics, and its depth is the distance.
    """

    image: Tensor  # [B, H, W, 3], the pictures
    points: Tensor  # [B, H, W, 3] in front of the camera; infinite where nothing is known
    depth: Tensor  # [B, H, W], their z; infinite where nothing is known
    mask: Tensor  # [B, H, W], bool: where something is known
    normal: Tensor  # [B, H, W, 3] of length 1, towards the camera; 0 where nothing is known
    intrinsics: Tensor  # [B, 3, 3], of pictures that are 1 wide and 1 high


class DepthMaps(TypedDict, total=False):
    """DA3_GEOMETRY: how far away the pixels of pictures are, float32 on the CPU.

    What a network does not say is absent.
    """

    image: Tensor  # [B, H, W, 3], the pictures
    depth: Tensor  # [B, H, W], along the axis of the camera, in units of the network
    confidence: Tensor  # [B, H, W], 1 or more
    sky: Tensor  # [B, H, W], from 0.3 on it is sky
    extrinsics: Tensor  # [B, 3, 4], of the world to each camera
    intrinsics: Tensor  # [B, 3, 3], in pixels of these pictures
