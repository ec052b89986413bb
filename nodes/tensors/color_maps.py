"""Numbers as colours."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

# A. Mikhailov, "Turbo, an improved rainbow colormap for visualization", 2019 (Apache-2.0).
_TURBO: Final = bytes.fromhex(
    "30123b32154333184a341b51351e5836215f37246638276d392a733a2d793b2f803c32863d358b3e38913f3b97"
    "3f3e9c4040a24143a74146ac4249b1424bb5434eba4451bf4454c34456c74559cb455ccf455ed34661d64664da"
    "4666dd4669e0466be3476ee64771e94773eb4776ee4778f0477bf2467df44680f64682f84685fa4687fb458afc"
    "458cfd448ffe4391fe4294ff4196ff4099ff3e9bfe3d9efe3ba0fd3aa3fc38a5fb37a8fa35abf833adf731aff5"
    "2fb2f42eb4f22cb7f02ab9ee28bceb27bee925c0e723c3e422c5e220c7df1fc9dd1ecbda1ccdd81bd0d51ad2d2"
    "1ad4d019d5cd18d7ca18d9c818dbc518ddc218dec018e0bd19e2bb19e3b91ae4b61ce6b41de7b21fe9af20eaac"
    "22ebaa25eca727eea42aefa12cf09e2ff19b32f29835f39438f4913cf58e3ff68a43f78746f8844af8804ef97d"
    "52fa7a55fa7659fb735dfc6f61fc6c65fd6969fd666dfe6271fe5f75fe5c79fe597dff5680ff5384ff5188ff4e"
    "8bff4b8fff4992ff4796fe4499fe429cfe409ffd3fa1fd3da4fc3ca7fc3aa9fb39acfb38affa37b1f936b4f836"
    "b7f735b9f635bcf534bef434c1f334c3f134c6f034c8ef34cbed34cdec34d0ea34d2e935d4e735d7e535d9e436"
    "dbe236dde037dfdf37e1dd37e3db38e5d938e7d739e9d539ebd339ecd13aeecf3aefcd3af1cb3af2c93af4c73a"
    "f5c53af6c33af7c13af8be39f9bc39faba39fbb838fbb637fcb336fcb136fdae35fdac34fea933fea732fea431"
    "fea130fe9e2ffe9b2dfe992cfe962bfe932afe9029fd8d27fd8a26fc8725fc8423fb8122fb7e21fa7b1ff9781e"
    "f9751df8721cf76f1af66c19f56918f46617f36315f26014f15d13f05b12ef5811ed5510ec530feb500eea4e0d"
    "e84b0ce7490ce5470be4450ae2430ae14109df3f08dd3d08dc3b07da3907d83706d63506d43305d23105d02f05"
    "ce2d04cc2b04ca2a04c82803c52603c32503c12302be2102bc2002b91e02b71d02b41b01b21a01af1801ac1701"
    "a91601a71401a41301a112019e10019b0f01980e01950d01920b018e0a018b09028808028507028106027e0502"
    "7a0403"
)
# C. Brewer's diverging scheme Spectral of eleven colours, colorbrewer2.org (Apache-2.0).
_SPECTRAL: Final = bytes.fromhex(
    "9e0142d53e4ff46d43fdae61fee08bffffbfe6f598abdda466c2a53288bd5e4fa2"
)


def turbo(values: Tensor) -> Tensor:
    """Numbers of 0 (blue) to 1 (red) as colours [..., 3] in 0..1; others: those at the ends.

    What is no number (NaN) counts as 0.
    """
    return _between(_TURBO, values)


def spectral(values: Tensor) -> Tensor:
    """Numbers of 0 (red) to 1 (violet) as colours [..., 3] in 0..1; others: those at the ends.

    What is no number (NaN) counts as 0.
    """
    return _between(_SPECTRAL, values)


def _between(table: bytes, values: Tensor) -> Tensor:
    """Colours between those of a table, the first for 0 and the last for 1."""
    colors = torch.frombuffer(bytearray(table), dtype=torch.uint8).reshape(-1, 3).to(values) / 255
    places = values.nan_to_num(0).clamp(0, 1) * (len(colors) - 1)
    below = places.long().clamp(max=len(colors) - 2)
    return torch.lerp(colors[below], colors[below + 1], (places - below)[..., None])
