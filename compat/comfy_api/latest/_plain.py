"""Types without widgets of their own: what travels on links, and widgets that clients bring."""

from __future__ import annotations

import re
from typing import Any, Final

import torch
from comfy_api.latest._types import ComfyType, Custom, WidgetInput

_TENSOR_TYPES: Final = {"Image": "IMAGE", "Mask": "MASK", "Sigmas": "SIGMAS"}

_OBJECT_TYPES: Final = {
    "Accumulation": "ACCUMULATION",
    "AnyType": "*",
    "Array": "ARRAY",
    "Audio": "AUDIO",
    "AudioEncoder": "AUDIO_ENCODER",
    "AudioEncoderOutput": "AUDIO_ENCODER_OUTPUT",
    "AudioRecord": "AUDIO_RECORD",
    "BBOX": "BBOX",
    "BackgroundRemoval": "BACKGROUND_REMOVAL",
    "CameraInfoState": "CAMERA_INFO_STATE",
    "Clip": "CLIP",
    "ClipVision": "CLIP_VISION",
    "ClipVisionOutput": "CLIP_VISION_OUTPUT",
    "Conditioning": "CONDITIONING",
    "ControlNet": "CONTROL_NET",
    "Dict": "DICT",
    "FaceAnalysis": "FACE_ANALYSIS",
    "File3DAny": "FILE_3D",
    "File3DFBX": "FILE_3D_FBX",
    "File3DGLB": "FILE_3D_GLB",
    "File3DGLTF": "FILE_3D_GLTF",
    "File3DKSPLAT": "FILE_3D_KSPLAT",
    "File3DOBJ": "FILE_3D_OBJ",
    "File3DPLY": "FILE_3D_PLY",
    "File3DPointCloudAny": "FILE_3D_POINT_CLOUD_ANY",
    "File3DSPLAT": "FILE_3D_SPLAT",
    "File3DSPZ": "FILE_3D_SPZ",
    "File3DSTL": "FILE_3D_STL",
    "File3DSplatAny": "FILE_3D_SPLAT_ANY",
    "File3DUSDZ": "FILE_3D_USDZ",
    "FlowControl": "FLOW_CONTROL",
    "Gligen": "GLIGEN",
    "Guider": "GUIDER",
    "Histogram": "HISTOGRAM",
    "HookKeyframes": "HOOK_KEYFRAMES",
    "Hooks": "HOOKS",
    "Latent": "LATENT",
    "LatentOperation": "LATENT_OPERATION",
    "LatentUpscaleModel": "LATENT_UPSCALE_MODEL",
    "Layers": "LAYERS",
    "Load3D": "LOAD_3D",
    "Load3DAnimation": "LOAD_3D_ANIMATION",
    "Load3DCamera": "LOAD3D_CAMERA",
    "Load3DModelInfo": "LOAD3D_MODEL_INFO",
    "LoraModel": "LORA_MODEL",
    "LossMap": "LOSS_MAP",
    "Mesh": "MESH",
    "Model": "MODEL",
    "ModelPatch": "MODEL_PATCH",
    "Noise": "NOISE",
    "Photomaker": "PHOTOMAKER",
    "Point": "POINT",
    "SEGS": "SEGS",
    "SVG": "SVG",
    "Sampler": "SAMPLER",
    "Splat": "SPLAT",
    "StyleModel": "STYLE_MODEL",
    "TimestepsRange": "TIMESTEPS_RANGE",
    "Tracks": "TRACKS",
    "UpscaleModel": "UPSCALE_MODEL",
    "Vae": "VAE",
    "Video": "VIDEO",
    "Voxel": "VOXEL",
    "WanCameraEmbedding": "WAN_CAMERA_EMBEDDING",
}

# Python types that packs write in annotations, beside `Type`.
_MORE_ANNOTATIONS: Final = {
    "Audio": ("AudioDict",),
    "AudioEncoderOutput": ("AudioEncoderOutputDict",),
    "Conditioning": ("CondList", "CondDict"),
    "Latent": ("LatentDict",),
    "Load3D": ("Model3DDict",),
    "Load3DCamera": ("CameraInfo",),
    "LossMap": ("LossMapDict",),
    "Sampler": ("SamplerType",),
    "Tracks": ("TrackDict",),
}

_BOX: Final = {"x": 0, "y": 0, "width": 512, "height": 512}
_LINE: Final = {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"}

# Values that a widget of the client edits: type, default, whether it has no socket unless told so.
_EDITED_TYPES: Final[dict[str, tuple[str, Any, bool | None]]] = {
    "BoundingBox": ("BOUNDING_BOX", _BOX, True),
    "BoundingBoxes": ("BOUNDING_BOXES", None, True),
    "Color": ("COLOR", "#ffffff", True),
    "Colors": ("COLORS", None, True),
    "Compositor": ("COMPOSITOR", None, True),
    "Curve": ("CURVE", _LINE, True),
    "ImageCompare": ("IMAGECOMPARE", None, True),
    "Range": ("RANGE", {"min": 0, "max": 1}, True),
    "ResolutionPreview": ("RESOLUTION_PREVIEW", None, True),
    "VideoEdit": ("VIDEO_EDIT", None, True),
    "Webcam": ("WEBCAM", None, None),
}


def _edited(name: str, io_type: str, default: Any, socketless: bool | None) -> type[ComfyType]:
    class Edited(WidgetInput):
        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = io_type == "RESOLUTION_PREVIEW",  # it shows something, has no value
            tooltip: str | None = None,
            lazy: bool | None = None,
            default: Any = default,
            socketless: bool | None = socketless,
            **more: Any,
        ) -> None:
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, **more)

    made = type(name, (ComfyType,), {"Input": Edited}, io_type=io_type)
    return made


def _all_types() -> dict[str, type[ComfyType]]:
    types = {name: Custom(io_type) for name, io_type in _OBJECT_TYPES.items()}
    for name, io_type in _TENSOR_TYPES.items():
        types[name] = Custom(io_type)
        types[name].Type = torch.Tensor
    for name, extra in _MORE_ANNOTATIONS.items():
        for annotation in extra:
            setattr(types[name], annotation, Any)
    return types | {name: _edited(name, *spec) for name, spec in _EDITED_TYPES.items()}


PLAIN_TYPES: Final = _all_types()

_TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]+")
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[0-9])(?=[A-Z][a-z])")


def later_type(name: str) -> type[ComfyType] | None:
    """A plain type for a name that a later release may have: `FooBar` is FOO_BAR.

    Packs declare sockets of such types; that they can be linked is all that is needed of them.
    """
    if not _TYPE_NAME.fullmatch(name):
        return None
    return Custom(_WORD.sub("_", name).upper())
