"""What classes have that the recorded server does without, in the notation of its documentation.

`name: TYPE=default(min..max step n)`, `?` after the name of an optional input, `{a/b}` for choices,
`dyn{a[inputs]/b}` for a choice that opens inputs, `autogrow a, b, ...` for a group that grows (its
first and last names and the least count), `adv` for what is folded away, `[]` for an output list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# Outputs that later releases added to the end, name -> type.
ADDED_OUTPUTS: Final[Mapping[str, Mapping[str, str]]] = {
    "CustomCombo": {"INDEX": "INT"},
    "GetVideoComponents": {"bit_depth": "COMBO", "color_space": "COMBO"},
    "Load3D": {"model_3d": "FILE_3D"},
    "MaskPreview": {"mask": "MASK"},
    "PreviewAny": {"STRING": "STRING"},
    "PreviewAudio": {"audio": "AUDIO"},
    "PreviewImage": {"images": "IMAGE"},
    "SaveAnimatedPNG": {"images": "IMAGE"},
    "SaveAnimatedWEBP": {"images": "IMAGE"},
    "SaveAudio": {"audio": "AUDIO"},
    "SaveAudioMP3": {"audio": "AUDIO"},
    "SaveAudioOpus": {"audio": "AUDIO"},
    "SaveImage": {"images": "IMAGE"},
    "SaveLatent": {"samples": "LATENT"},
    "SaveSVGNode": {"svg": "SVG"},
    "SaveWEBM": {"images": "IMAGE"},
}

_DATASET_MODE: Final[list[Any]] = [
    "COMBO",
    {"multiselect": False, "options": ["overwrite", "increment"], "default": "overwrite"},
]

# Optional inputs that later releases added to the end, with what is declared of them.
ADDED_INPUTS: Final[Mapping[str, Mapping[str, list[Any]]]] = {
    "CFGNorm": {"pre_cfg": ["BOOLEAN", {"default": False}]},
    "LatentApplyOperationCFG": {
        "start_percent": ["FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.001}],
        "end_percent": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.001}],
    },
    "ModelSamplingAuraFlow": {
        "sampling": [["flow", "img_to_img_velocity"], {"default": "flow", "advanced": True}]
    },
    "CreateVideo": {
        "bit_depth": [
            "COMBO",
            {"multiselect": False, "options": ["auto", 8, 10], "default": "auto"},
        ],
        "color_space": [
            "COMBO",
            {"multiselect": False, "options": ["sRGB", "HDR", "HDR PQ"], "default": "sRGB"},
        ],
        "codec": [
            "COMBO",
            {
                "multiselect": False,
                "options": ["none", "auto", "h264", "av1"],
                "default": "none",
                "advanced": True,
            },
        ],
    },
    "LTXAVTextEncoderLoader": {
        "device": [
            "COMBO",
            {
                "multiselect": False,
                "options": ["default", "cpu"],
                "default": "default",
                "advanced": True,
            },
        ]
    },
    "SaveImageDataSetToFolder": {"mode": _DATASET_MODE},
    "SaveImageTextDataSetToFolder": {"mode": _DATASET_MODE},
    "LTXVAddGuide": {"iclora_parameters": ["IC_LORA_PARAMETERS", {}]},
    "LoadVideo": {"edit": ["VIDEO_EDIT", {"socketless": True, "features": ["trim", "crop"]}]},
}

# Required inputs that take more in later releases.
CHANGED_INPUTS: Final[Mapping[str, Mapping[str, list[Any]]]] = {
    "BatchImagesNode": {
        "images": [
            "COMFY_AUTOGROW_V3",
            {
                "template": {
                    "input": {"required": {"image": ["IMAGE", {}]}},
                    "prefix": "image",
                    "min": 1,
                    "max": 50,
                }
            },
        ]
    },
    "SaveGLB": {
        "mesh": [
            "MESH,FILE_3D_GLB,FILE_3D_GLTF,FILE_3D_FBX,FILE_3D_OBJ,FILE_3D_STL,FILE_3D_USDZ,"
            "FILE_3D_PLY,FILE_3D_SPLAT,FILE_3D_SPZ,FILE_3D_KSPLAT,FILE_3D_SPLAT_ANY,"
            "FILE_3D_POINT_CLOUD_ANY,FILE_3D",
            {},
        ]
    },
    "LTXVEmptyLatentAudio": {
        "frame_rate": [
            "FLOAT,INT",
            {"widgetType": "FLOAT", "default": 25.0, "min": 1.0, "max": 1000.0, "step": 0.01},
        ]
    },
}

# Required inputs that need not be there in later releases.
OPTIONAL_NOW: Final[Mapping[str, tuple[str, ...]]] = {"ComfySwitchNode": ("on_false", "on_true")}

# Choices that later releases added to the end: class -> input -> choices.
ADDED_CHOICES: Final[Mapping[str, Mapping[str, list[str]]]] = {
    "CLIPLoader": {
        "type": [
            "longcat_image",
            "cogvideox",
            "lens",
            "pixeldit",
            "ideogram4",
            "boogu",
            "krea2",
            "joyimage",
            "mage",
            "minimax",
            "yue2",
            "flux3",
            "moss_image",
            "fibo2",
        ]
    },
    "FluxKontextMultiReferenceLatentMethod": {
        "reference_latents_method": [
            "index_timestep_zero_isolated",
            "index_timestep_zero_text_start",
        ]
    },
}

# Choices that open inputs, which later releases added: class -> input -> options.
ADDED_OPTIONS: Final[Mapping[str, Mapping[str, list[Any]]]] = {
    "ResizeImageMaskNode": {
        "resize_type": [
            {
                "key": "scale to multiple",
                "inputs": {
                    "required": {
                        "multiple": ["INT", {"default": 8, "min": 1, "max": 16384, "step": 1}]
                    }
                },
            }
        ]
    }
}

# Inputs that later releases added to what a choice opens: class -> input -> key -> inputs.
ADDED_TO_OPTIONS: Final[Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]] = {
    "ResizeImageMaskNode": {
        "resize_type": {
            "scale total pixels": {
                "multiple": ["INT", {"default": 1, "min": 1, "max": 16384, "step": 1}]
            }
        }
    }
}

# Classes of later releases that graphs get while they run; nothing else is known of them.
INTERNAL: Final = frozenset({"LoopProgress", "LoopIteration", "LoopResult"})

# Classes that come with a node pack elsewhere.
OF_PACKS: Final = frozenset(
    {"UnetLoaderGGUF", "CLIPLoaderGGUF", "DualCLIPLoaderGGUF", "TripleCLIPLoaderGGUF"}
)

_H264: Final = "h264[encoding?: dyn{auto/re-encode[crf: FLOAT=23.0(0.0..51.0 step 1.0)]}=auto]"
_AV1: Final = "av1[encoding?: dyn{auto/re-encode[crf: FLOAT=30.0(0.0..63.0 step 1.0)]}=auto]"
_BOTH: Final = f"[codec: dyn{{auto/{_H264}/{_AV1}}}=auto]"

# Classes of later releases, and one that they changed from the ground up.
CLASSES: Final[Mapping[str, str]] = {
    "BuildJsonPromptIdeogram": (
        "experimental (element: ARRAY; high_level_description: STRING=; background: STRING=; "
        "style: dyn{none/photo[photo: STRING=]/art_style[art_style: STRING=]}; "
        "aesthetics: STRING=; lighting: STRING=; medium: STRING=; color_palette: COLORS=[]) "
        "-> prompt: DICT"
    ),
    "CameraAngle": (
        "(horizontal_angle: INT=0(0..360); vertical_angle: INT=0(-30..60); "
        "zoom: FLOAT=5.0(0.0..10.0 step 0.1); image?: IMAGE; view?: STRING=) "
        "-> camera_info: LOAD3D_CAMERA, prompt: STRING"
    ),
    "ConcatenateVideo": (
        "(videos: autogrow video0...video99 min 1 [video: VIDEO]; codec: {auto/h264/av1}=auto; "
        "complete_audio?: AUDIO) -> VIDEO"
    ),
    "VAEDecodeAudioTiled": (
        "(samples: LATENT; vae: VAE; tile_size: INT=512(32..8192 step 8); "
        "overlap: INT=64(0..1024 step 8)) -> AUDIO"
    ),
    "ConditioningLoader": "(conditioning_name: {}) -> CONDITIONING",
    "CurveEditor": (
        "(curve: CURVE={'points': [[0, 0], [1, 1]], 'interpolation': 'monotone_cubic'}; "
        "histogram?: HISTOGRAM) -> curve: CURVE"
    ),
    "BlockSparseAttention": (
        "(model: MODEL; selection: dyn{sol-attn[tau: FLOAT=1.3(0.0..4.0)]/"
        "sla[keep_percent: FLOAT=10.0(0.5..95.0)]/vsa[keep_percent: FLOAT=10.0(0.5..95.0)]}; "
        "start_percent?: FLOAT=0.2(0.0..1.0); end_percent?: FLOAT=1.0(0.0..1.0); "
        "dense_blocks?: STRING=; min_tokens?: INT=12288(0..1048576 step 512); "
        "extra_tokens?: INT=256(0..256 step 64); "
        "sink_conditioning?: {exact_kv/exact_kv_and_rows/off}=exact_kv_and_rows; "
        "verbose?: BOOLEAN=False) -> model: MODEL"
    ),
    "CFGOverride": (
        "(model: MODEL; cfg: FLOAT=1.0(0.0..100.0 step 0.1); "
        "start_percent: FLOAT=0.0(0.0..1.0 step 0.001); "
        "end_percent: FLOAT=1.0(0.0..1.0 step 0.001)) -> MODEL"
    ),
    "DualModelGuider": (
        "experimental (model: MODEL; positive: CONDITIONING; "
        "cfg: FLOAT=4.0(0.0..100.0 step 0.1); model_negative?: MODEL; negative?: CONDITIONING) "
        "-> GUIDER"
    ),
    "SamplerLCM": (
        "(s_noise: FLOAT=1.0(0.0..64.0 step 0.01); s_noise_end: FLOAT=1.0(0.0..64.0 step 0.01); "
        "noise_clip_std: FLOAT=0.0(0.0..10.0 step 0.01)) -> SAMPLER"
    ),
    "FluxKVCache": "(model: MODEL) -> MODEL",
    "HiDreamO1ReferenceImages": (
        "(positive: CONDITIONING; negative: CONDITIONING; "
        "images?: autogrow image_1...image_100 min 0 [image: IMAGE]) "
        "-> positive: CONDITIONING, negative: CONDITIONING"
    ),
    "Ideogram4Scheduler": (
        "(steps: INT=20(1..200); width: INT=1024(256..8192 step 16); "
        "height: INT=1024(256..8192 step 16); mu: FLOAT=0.0(-10.0..10.0 step 0.05); "
        "std: FLOAT=1.75(0.1..5.0 step 0.05)) -> SIGMAS"
    ),
    "ModelAttentionBackend": (
        "(model: MODEL; attention: {pytorch attention/comfy kitchen attention}=pytorch attention) "
        "-> model: MODEL"
    ),
    "QwenImage21Cache": (
        "experimental (model: MODEL; device: {auto/gpu/cpu/off}=auto; "
        "dtype: {default/int8/int4}=default) -> MODEL"
    ),
    "MiniMaxH3ImageToVideo": (
        "(clip: CLIP; vae: VAE; prompt: STRING; width: INT=1344(32..16384 step 32); "
        "height: INT=768(32..16384 step 32); length: INT=124(5..3600 step 17); "
        "first_frame?: IMAGE; last_frame?: IMAGE) -> positive: CONDITIONING, LATENT"
    ),
    "MiniMaxH3ReferenceToVideo": (
        "(clip: CLIP; prompt: STRING; width: INT=1344(32..16384 step 32); "
        "height: INT=768(32..16384 step 32); length: INT=124(5..3600 step 17); "
        "ref_image_size: {match/max}=match; vae?: VAE; audio_vae?: VAE; "
        "ref_images?: autogrow ref_image_0...ref_image_8 min 0 [ref_image: IMAGE]; "
        "ref_videos?: autogrow ref_video_0...ref_video_2 min 0 [ref_video: IMAGE]; "
        "ref_video_audios?: autogrow ref_video_audio_0...ref_video_audio_2 min 0 "
        "[ref_video_audio: AUDIO]; "
        "ref_audios?: autogrow ref_audio_0...ref_audio_2 min 0 [ref_audio: AUDIO]) "
        "-> positive: CONDITIONING, LATENT"
    ),
    "MiniMaxH3SigmaShift": (
        "(model: MODEL; shift_video: FLOAT=12.0(0.01..100.0 step 0.01); "
        "shift_audio: FLOAT=3.0(0.01..100.0 step 0.01)) -> MODEL"
    ),
    "WanAnimate2ToVideo": (
        "(positive: CONDITIONING; negative: CONDITIONING; vae: VAE; "
        "width: INT=832(16..16384 step 16); height: INT=480(16..16384 step 16); "
        "length: INT=81(1..16384 step 4); batch_size: INT=1(1..4096); "
        "video_frame_offset: INT=0(0..16384); pose_strength: FLOAT=1.0(0.0..10.0 step 0.01); "
        "pose_start_percent: FLOAT=0.0(0.0..1.0 step 0.01); "
        "pose_end_percent: FLOAT=1.0(0.0..1.0 step 0.01); "
        "reference_image_strength: FLOAT=1.0(0.0..10.0 step 0.01); reference_image?: IMAGE; "
        "pose_video?: IMAGE; clip_vision_output?: CLIP_VISION_OUTPUT; "
        "positive_pose?: CONDITIONING; clip_vision_output_pose?: CLIP_VISION_OUTPUT; "
        "continue_motion?: IMAGE) -> positive: CONDITIONING, negative: CONDITIONING, "
        "latent: LATENT, trim_latent: INT, trim_image: INT, video_frame_offset: INT"
    ),
    "WanAnimate2Cache": (
        "(model: MODEL; device: {cpu/gpu}=cpu; dtype: {default/int8/int4}=default) -> MODEL"
    ),
    "PrimitiveBoundingBox": (
        "(x: INT=0(0..16384); y: INT=0(0..16384); width: INT=512(1..16384); "
        "height: INT=512(1..16384)) -> BOUNDING_BOX"
    ),
    "CreateBoundingBoxes": (
        "output_node experimental (width: INT=1024(64..16384 step 16); "
        "height: INT=1024(64..16384 step 16); editor_state: BOUNDING_BOXES; background?: IMAGE; "
        "bboxes?: BOUNDING_BOX,ARRAY,STRING; last_incoming?: BOUNDING_BOXES) "
        "-> preview: IMAGE, bboxes: BOUNDING_BOX, elements: ARRAY"
    ),
    "DrawBBoxes": "(bboxes: BOUNDING_BOX; image?: IMAGE) -> out_image: IMAGE",
    "Painter": (
        "(mask: STRING=; width: INT=512(64..4096 step 64); height: INT=512(64..4096 step 64); "
        "bg_color: COLOR=#000000; image?: IMAGE) -> IMAGE, MASK"
    ),
    "SeedVR2Preprocess": "(resized_images: IMAGE) -> images: IMAGE",
    "ColorTransfer": (
        "(image_target: IMAGE; image_ref: IMAGE; method: {reinhard_lab/mkl_lab/histogram}; "
        "source_stats: dyn{per_frame/uniform/target_frame[target_index: INT=0(0..10000)]}; "
        "strength: FLOAT=1.0(0.0..10.0 step 0.01)) -> image: IMAGE"
    ),
    "EmptyAceStep1.5LatentAudio": (
        "(seconds: FLOAT=120.0(1.0..1000.0 step 0.01); batch_size: INT=1(1..4096)) -> LATENT"
    ),
    "ImageCropToMask": (
        "(images: IMAGE; masks: MASK; width: INT=1024(64..4096 step 8); "
        "height: INT=1024(64..4096 step 8); pad_factor: FLOAT=1.0(1.0..2.0 step 0.01); "
        "grow_mask: INT=0(-32..32); background: COLOR=#000000) -> images: IMAGE"
    ),
    "ImageCropV2": (
        "(image: IMAGE; crop_region: BOUNDING_BOX={'x': 0, 'y': 0, 'width': 512, "
        "'height': 512}) -> IMAGE"
    ),
    "ImageHistogram": (
        "(image: IMAGE) -> rgb: HISTOGRAM, luminance: HISTOGRAM, red: HISTOGRAM, "
        "green: HISTOGRAM, blue: HISTOGRAM"
    ),
    "EmptyHiDreamO1LatentImage": (
        "(width: INT=2048(64..4096 step 32); height: INT=2048(64..4096 step 32); "
        "batch_size: INT=1(1..64)) -> LATENT"
    ),
    "EmptyTrellis2LatentStructure": "(batch_size: INT=1(1..4096)) -> LATENT",
    "ComfyNotNode": "(value: *) -> BOOLEAN",
    "ComfyAndNode": "(values: autogrow value0...value99 min 1 [value: *]) -> BOOLEAN",
    "ComfyOrNode": "(values: autogrow value0...value99 min 1 [value: *]) -> BOOLEAN",
    "ComfyPassOrNoneNode": "(anything?: *; default?: *) -> value: *, is_none: BOOLEAN",
    "CreateList": "(inputs: autogrow input0...input9 min 1 [input: *]) -> list: *[]",
    "GetItemFromList": "(list: *; index: INT=0) -> *",
    "ComfyMathExpression": (
        "(expression: STRING=a + b; values: autogrow a...z min 1 [value: FLOAT,INT,BOOLEA"
        "N]) -> FLOAT, INT, BOOL: BOOLEAN"
    ),
    "ComfyNumberConvert": "(value: INT,FLOAT,STRING,BOOLEAN) -> FLOAT, INT",
    "SeedNode": "(seed: INT=0(0..9223372036854775807)) -> seed: INT",
    "ResolutionSelector": (
        "(aspect_ratio: {1:1 (Square)/2:3 (Portrait Photo)/3:2 (Photo)/3:4 (Portrait Stan"
        "dard)/4:3 (Standard)/9:16 (Portrait Widescreen)/16:9 (Widescreen)/21:9 (Ultrawid"
        "e)}=1:1 (Square); megapixels: FLOAT=1.0(0.1..16.0 step 0.1); preview?: RESOLUTIO"
        "N_PREVIEW; multiple?: INT=8(8..128 step 4) adv) -> width: INT, height: INT"
    ),
    "ColorToRGBInt": "(color: COLOR=#ffffff) -> rgb_int: INT, hex: COLOR, alpha: FLOAT",
    "JsonExtractString": "(json_string: STRING; key: STRING) -> STRING",
    "ConvertArrayToString": "(array: ARRAY; indent: INT=2(0..8)) -> STRING",
    "ConvertDictionaryToString": "(dictionary: DICT; indent: INT=2(0..8)) -> STRING",
    "StringFormat": "(values: autogrow a...z min 0 [value: *]; f_string: STRING={a}) -> STRING",
    "ImageCompare": (
        "output_node (image_a?: IMAGE; image_b?: IMAGE; compare_view?: IMAGECOMPARE) -> nothing"
    ),
    "SaveVideo": (
        "output_node (video: VIDEO; filename_prefix: STRING=video/ComfyUI; "
        f"format: dyn{{auto{_BOTH}/mp4{_BOTH}/mkv{_BOTH}/"
        f"webm[codec: dyn{{auto/{_AV1}}}=auto]}}=auto; "
        "codec?: {auto/h264/av1}=auto) -> video: VIDEO"
    ),
    "Video Slice": (
        "(video: VIDEO; start_time: FLOAT=0.0(-100000.0..100000.0 step 0.001); duration: "
        "FLOAT=0.0(0.0.. step 0.001); strict_duration: BOOLEAN=False) -> VIDEO"
    ),
    "JoinAudioChannels": "(audio_left: AUDIO; audio_right: AUDIO) -> AUDIO",
    "SaveImageAdvanced": (
        "output_node (images: IMAGE; filename_prefix: STRING=ComfyUI; format: dyn{png[bit"
        "_depth: {8-bit/16-bit}; input_color_space: {sRGB}]/exr[bit_depth: {16-bit float/"
        "32-bit float}; input_color_space: {sRGB/HDR/linear/linear ACEScg}]/avif[bit_dept"
        "h: {auto/8-bit YUV420/10-bit YUV420}; input_color_space: {sRGB/HDR/HDR PQ}; "
        "crf: INT=18(1..63); save_mode: dyn{still images/animated[fps: FLOAT=6.0"
        "(0.01..1000.0 step 0.01); loop_count: INT=0(0..1000)]}]}) -> images: IMAGE"
    ),
    "EmptyMiniMaxMusic3LatentAudio": (
        "(seconds: FLOAT=120.0(0.04.. step 0.04); batch_size: INT=1(1..4096)) -> LATENT"
    ),
    "EmptyYuE2LatentAudio": (
        "(seconds: FLOAT=120.0(0.04..1000.0 step 0.04); batch_size: INT=1(1..4096)) -> LATENT"
    ),
    "Flux3LayoutPrompt": "(prompt: STRING=; element: ARRAY) -> prompt: STRING",
    "GetICLoRAParameters": "(iclora_model: MODEL) -> iclora_parameters: IC_LORA_PARAMETERS",
    "LTXVDualCFGGuider": (
        "(model: MODEL; positive: CONDITIONING; negative: CONDITIONING; "
        "video_cfg: FLOAT=3.0(0.0..100.0 step 0.1); audio_cfg: FLOAT=7.0(0.0..100.0 step 0.1)) "
        "-> GUIDER"
    ),
    "ModelNoiseScale": ("(model: MODEL; noise_scale: FLOAT=1.0(0.0..64.0 step 0.01)) -> MODEL"),
    "TextEncodeQwenImage21": (
        "(clip: CLIP; prompt: STRING; negative_prompt: STRING; "
        "resolution: INT=1024(0..4096 step 32); vae?: VAE; "
        "images?: autogrow image_1...image_16 min 0 [image: IMAGE]) "
        "-> positive: CONDITIONING, negative: CONDITIONING, latent: LATENT"
    ),
    "ReferenceMultiLatent": (
        "(positive: CONDITIONING; resolution: dyn{keep resolution/"
        "resize[megapixels: FLOAT=1.0(0.01..16.0 step 0.01)]}; negative?: CONDITIONING; "
        "vae?: VAE; images?: autogrow image0...image99 min 0 [image: IMAGE]) "
        "-> positive: CONDITIONING, negative: CONDITIONING, empty_latent: LATENT"
    ),
    "SeedVR2TemporalChunk": (
        "(latent: LATENT; temporal_overlap: INT=0(0..16384); chunking_mode: dyn{auto/"
        "manual[frames_per_chunk: INT=21(1..16384 step 4)]}) "
        "-> latents: LATENT[], temporal_overlap: INT"
    ),
    "SeedVR2TemporalMerge": (
        "(latents: LATENT; temporal_overlap: INT=0(0..16384)) -> latent: LATENT"
    ),
    "VOIDSampler": "() -> SAMPLER",
    "VOIDWarpedNoiseSource": "(warped_noise: LATENT) -> NOISE",
    "WanDancerPadKeyframesList": (
        "(images: IMAGE; segment_length: INT=149(1..10000); num_segments: INT=1(1..100); "
        "audio?: AUDIO) -> keyframes_sequence: IMAGE[], keyframes_mask: MASK[], "
        "audio_segment: AUDIO[]"
    ),
    "SDPoseDrawKeypoints": (
        "(keypoints: POSE_KEYPOINT; draw_body?: BOOLEAN=True; draw_hands?: BOOLEAN=True; "
        "draw_face?: BOOLEAN=True; draw_feet?: BOOLEAN=False; stick_width?: INT=4(1..10); "
        "face_point_size?: INT=3(1..10); score_threshold?: FLOAT=0.3(0.0..1.0 step 0.01); "
        "draw_head?: BOOLEAN=True) -> IMAGE"
    ),
    "GLSLShader": (
        "experimental (fragment_shader: STRING=#version 300 es\nprecision highp float;\n\n"
        "uniform sampler2D u_image0;\nin vec2 v_texCoord;\n"
        "layout(location = 0) out vec4 fragColor0;\n\n"
        "void main() {\n    fragColor0 = texture(u_image0, v_texCoord);\n}\n; "
        "size_mode: dyn{from_input/custom[width: INT=512(1..16384); height: INT=512(1..16384)]}; "
        "images: autogrow image0...image4 min 1 [image: IMAGE]; "
        "floats?: autogrow u_float0...u_float19 min 0 [float: FLOAT]; "
        "ints?: autogrow u_int0...u_int19 min 0 [int: INT]; "
        "bools?: autogrow u_bool0...u_bool9 min 0 [bool: BOOLEAN]; "
        "curves?: autogrow u_curve0...u_curve3 min 0 [curve: CURVE]) "
        "-> IMAGE0: IMAGE, IMAGE1: IMAGE, IMAGE2: IMAGE, IMAGE3: IMAGE"
    ),
    "ApplyTextureToMesh": (
        "(mesh: MESH; base_color: IMAGE; metallic?: IMAGE; roughness?: IMAGE; occlusion?: IMAGE; "
        "normal_map?: IMAGE) -> mesh: MESH"
    ),
    "BakeAmbientOcclusion": (
        "(low_poly: MESH; high_poly: MESH; resolution: INT=1024(64..8192 step 64); "
        "samples: INT=64(4..1024 step 4); max_distance: FLOAT=0.5(0.01..2.0 step 0.01); "
        "strength: FLOAT=1.0(0.0..2.0 step 0.05); bias: FLOAT=0.01(0.0001..0.2 step 0.0005)) "
        "-> occlusion: IMAGE"
    ),
    "BakeNormalMapFromMesh": (
        "(low_poly: MESH; high_poly: MESH; resolution: INT=1024(64..8192 step 64); "
        "cage_distance: FLOAT=0.05(0.001..0.5 step 0.001); ignore_backfaces: BOOLEAN=True) "
        "-> normal_map: IMAGE"
    ),
    "BakeTextureFromVoxel": (
        "(mesh: MESH; voxel_colors: VOXEL; texture_size: INT=2048(64..8192); "
        "reference_mesh?: MESH) -> base_color: IMAGE, metallic: IMAGE, roughness: IMAGE"
    ),
    "RenderUVAtlas": "(mesh: MESH; resolution: INT=1024(64..4096 step 64)) -> image: IMAGE",
    "UnwrapMesh": (
        "(mesh: MESH; segmenter: {pec/adaptive}=pec; resolution: INT=1024(0..8192 step 256); "
        "padding: INT=1(0..16); weld_distance: FLOAT=0.0(0.0..1.0 step 0.0001)) -> mesh: MESH"
    ),
    "GetMeshInfo": "(mesh: MESH) -> mesh: MESH, info: STRING",
    "MeshToFile3D": "(mesh: MESH) -> model_3d: FILE_3D_GLB",
    "MeshSmoothNormals": (
        "(mesh: MESH; crease_angle: FLOAT=180.0(0.0..180.0 step 1.0)) -> mesh: MESH"
    ),
    "DecimateMesh": (
        "(mesh: MESH; target_face_count: INT=200000(0..50000000); placement_mode: "
        "dyn{midpoint/qem[line_quadric_weight?: FLOAT=0.0(0.0..100.0 step 0.001); "
        "feature_edge_quadric_weight?: FLOAT=0.0(0.0..1000.0 step 0.01); "
        "feature_edge_min_dihedral_deg?: FLOAT=30.0(0.0..180.0 step 1.0); "
        "clamp_v_to_edge?: BOOLEAN=True]}) -> mesh: MESH"
    ),
    "RemeshMesh": (
        "(mesh: MESH; resolution: INT=512(32..2048); sign_mode: dyn{udf[qef?: BOOLEAN=False; "
        "drop_inverted_components?: BOOLEAN=False; drop_enclosed_components?: BOOLEAN=False]/"
        "sdf[qef?: BOOLEAN=True; manifold?: BOOLEAN=False]/solid[fill?: FLOAT=20.0(0.0..1000.0 "
        "step 1.0); qef?: BOOLEAN=False]}=udf; band: FLOAT=1.0(0.5..4.0 step 0.01) adv; "
        "project_back: FLOAT=0.0(0.0..1.0 step 0.01) adv; fix_poles: BOOLEAN=False adv; "
        "smooth_iters: INT=0(0..20); drop_small_components: FLOAT=0.01(0.0..0.5 step 0.01) adv; "
        "precluster_max_verts: INT=20000000(0..100000000) adv) -> mesh: MESH"
    ),
    "PaintMesh": "(mesh: MESH; voxel_colors: VOXEL) -> mesh: MESH",
    "CreateCameraInfo": (
        "(mode: dyn{orbit[yaw: FLOAT=35.0(-360.0..360.0); pitch: FLOAT=30.0(-89.0..89.0); "
        "distance: FLOAT=4.0(0.01..1000.0)]/look_at[position_x: FLOAT=4.0(-1000.0..1000.0); "
        "position_y: FLOAT=4.0(-1000.0..1000.0); position_z: FLOAT=4.0(-1000.0..1000.0)]/"
        "quaternion[position_x: FLOAT=4.0(-1000.0..1000.0); "
        "position_y: FLOAT=4.0(-1000.0..1000.0); position_z: FLOAT=4.0(-1000.0..1000.0); "
        "quat_x: FLOAT=0.0(-1.0..1.0); quat_y: FLOAT=0.0(-1.0..1.0); "
        "quat_z: FLOAT=0.0(-1.0..1.0); quat_w: FLOAT=1.0(-1.0..1.0)]}; "
        "target_x?: FLOAT=0.0(-1000.0..1000.0); target_y?: FLOAT=0.0(-1000.0..1000.0); "
        "target_z?: FLOAT=0.0(-1000.0..1000.0); roll?: FLOAT=0.0(-180.0..180.0); "
        "fov?: FLOAT=35.0(1.0..120.0); zoom?: FLOAT=1.0(0.01..100.0); "
        "camera_type?: {perspective/orthographic}=perspective) -> camera_info: LOAD3D_CAMERA"
    ),
    "Save3DAdvanced": (
        "output_node (model_3d: FILE_3D_GLB,FILE_3D_GLTF,FILE_3D_FBX,FILE_3D_OBJ,FILE_3D_STL,"
        "FILE_3D_USDZ,FILE_3D; filename_prefix: STRING=3d/ComfyUI; viewport_state: LOAD_3D; "
        "width: INT=1024(1..4096); height: INT=1024(1..4096); model_3d_info?: LOAD3D_MODEL_INFO; "
        "camera_info?: LOAD3D_CAMERA) -> model_3d: FILE_3D, model_3d_info: LOAD3D_MODEL_INFO, "
        "camera_info: LOAD3D_CAMERA, width: INT, height: INT"
    ),
    "Preview3DAdvanced": (
        "output_node (model_3d: FILE_3D_GLB,FILE_3D_GLTF,FILE_3D_FBX,FILE_3D_OBJ,FILE_3D_STL,"
        "FILE_3D_USDZ,FILE_3D; viewport_state: LOAD_3D; width: INT=1024(1..4096); "
        "height: INT=1024(1..4096); model_3d_info?: LOAD3D_MODEL_INFO; "
        "camera_info?: LOAD3D_CAMERA) -> model_3d: FILE_3D, model_3d_info: LOAD3D_MODEL_INFO, "
        "camera_info: LOAD3D_CAMERA, width: INT, height: INT"
    ),
    "LoadMoGeModel": "(model_name: {}) -> MOGE_MODEL",
    "MoGeInference": (
        "(moge_model: MOGE_MODEL; image: IMAGE; resolution_level: INT=9(0..9); "
        "fov_x_degrees: FLOAT=0.0(0.0..170.0 step 0.1); batch_size: INT=4(1..64); "
        "force_projection: BOOLEAN=True; apply_mask: BOOLEAN=True; refine_steps: INT=3(0..8)) "
        "-> moge_geometry: MOGE_GEOMETRY"
    ),
    "MoGePanoramaInference": (
        "(moge_model: MOGE_MODEL; image: IMAGE; resolution_level: INT=9(0..9); "
        "split_resolution: INT=512(256..1024); merge_resolution: INT=1920(256..8192); "
        "batch_size: INT=4(1..12); refine_steps: INT=3(0..8)) -> moge_geometry: MOGE_GEOMETRY"
    ),
    "MoGeRender": (
        "(moge_geometry: MOGE_GEOMETRY; "
        "output: {depth/depth_colored/normal_opengl/normal_directx/mask}=depth) -> IMAGE"
    ),
    "MoGeGeometryToFOV": (
        "(moge_geometry: MOGE_GEOMETRY; axis: {vertical/horizontal/diagonal}=vertical; "
        "unit: {degrees/radians}=degrees) -> fov: FLOAT, focal_pixels: FLOAT"
    ),
    "MoGePointMapToMesh": (
        "(moge_geometry: MOGE_GEOMETRY; batch_index: INT=0(0..4096); decimation: INT=1(1..8); "
        "discontinuity_threshold: FLOAT=0.04(0.0..1.0); texture: BOOLEAN=True) -> MESH"
    ),
    "LoadDA3Model": (
        "(model_name: {}; weight_dtype?: {default/fp16/bf16/fp32}=default) -> DA3_MODEL"
    ),
    "DA3Inference": (
        "(da3_model: DA3_MODEL; image: IMAGE; resolution: INT=504(140..2520 step 14); "
        "resize_method: {upper_bound_resize/lower_bound_resize}; mode: dyn{mono/multiview["
        "ref_view_strategy: {saddle_balanced/saddle_sim_range/first/middle}; "
        "pose_method: {cam_dec/ray_pose}]}) -> da3_geometry: DA3_GEOMETRY"
    ),
    "DA3Render": (
        "(da3_geometry: DA3_GEOMETRY; output: dyn{"
        "depth[normalization: {v2_style/min_max/raw}; apply_sky_clip: BOOLEAN=False]/"
        "depth_colored[normalization: {v2_style/min_max/raw}; apply_sky_clip: BOOLEAN=False]/"
        "sky_mask[colored: BOOLEAN=False]/confidence[colored: BOOLEAN=False]}) -> IMAGE"
    ),
    "TextGenerate": (
        "(clip: CLIP; prompt: STRING=; max_length: INT=512(1..32768); "
        "sampling_mode: dyn{on[temperature: FLOAT=0.7(0.01..2.0 step 0.01); "
        "top_k: INT=64(0..1000); top_p: FLOAT=0.95(0.0..1.0 step 0.01); "
        "min_p: FLOAT=0.05(0.0..1.0 step 0.01); "
        "repetition_penalty: FLOAT=1.05(0.0..5.0 step 0.01); "
        "seed: INT=0(0..18446744073709551615); "
        "presence_penalty?: FLOAT=0.0(0.0..5.0 step 0.01)]/off}; image?: IMAGE; video?: IMAGE; "
        "audio?: AUDIO; thinking?: BOOLEAN=False; use_default_template?: BOOLEAN=True adv; "
        "mtp?: {auto/off/2/3/4/5/tree2s1/tree2s2/tree3s1/tree4s1m8}=auto; system_prompt?: STRING) "
        "-> generated_text: STRING, thinking: STRING"
    ),
    "TextGenerateLTX2Prompt": (
        "(clip: CLIP; prompt: STRING=; max_length: INT=512(1..32768); "
        "sampling_mode: dyn{on[temperature: FLOAT=0.7(0.01..2.0 step 0.01); "
        "top_k: INT=64(0..1000); top_p: FLOAT=0.95(0.0..1.0 step 0.01); "
        "min_p: FLOAT=0.05(0.0..1.0 step 0.01); "
        "repetition_penalty: FLOAT=1.05(0.0..5.0 step 0.01); "
        "seed: INT=0(0..18446744073709551615); "
        "presence_penalty?: FLOAT=0.0(0.0..5.0 step 0.01)]/off}; image?: IMAGE; video?: IMAGE; "
        "audio?: AUDIO; thinking?: BOOLEAN=False; use_default_template?: BOOLEAN=True adv; "
        "mtp?: {auto/off/2/3/4/5}=auto; system_prompt?: STRING) "
        "-> generated_text: STRING, thinking: STRING"
    ),
    "TripoSplatPreprocessImage": (
        "(image: IMAGE; mask: MASK; erode_radius: INT=1(0..16); "
        "size: INT=1024(256..4096 step 16)) -> image: IMAGE"
    ),
    "RenderSplat": (
        "(splat: SPLAT; width: INT=1024(64..2048 step 8); height: INT=1024(64..2048 step 8); "
        "frames: INT=1(-240..240); splat_scale: FLOAT=1.0(0.1..5.0 step 0.05); "
        "sharpen: FLOAT=2.0(1.0..8.0 step 0.5); "
        "headlight_shading: FLOAT=0.0(0.0..3.0 step 0.05); "
        "opacity_threshold: FLOAT=0.0(0.0..1.0 step 0.01); "
        "render_style: {color/clay/depth/normal}=color; background: COLOR=#000000; "
        "bg_image?: IMAGE; camera_info?: LOAD3D_CAMERA) -> image: IMAGE, mask: MASK"
    ),
    "SplatToMesh": (
        "(splat: SPLAT; resolution: INT=384(64..768 step 16); kernel: INT=5(1..8); "
        "smooth: INT=0(0..60); level: FLOAT=0.4(0.0..2.0 step 0.01); "
        "min_component: INT=500(0..100000 step 50); "
        "min_opacity: FLOAT=0.02(0.0..1.0 step 0.01); "
        "color_sharpen: FLOAT=2.0(1.0..8.0 step 0.5)) -> mesh: MESH"
    ),
    "SplatToFile3D": ("(splat: SPLAT; format: {ply/ksplat/spz}=ply) -> model_3d: FILE_3D"),
    "MarigoldV2PostProcess": "(image: IMAGE; prediction: {depth/normals/albedo}) -> IMAGE",
    "SeedVR2PostProcessing": (
        "(images: IMAGE; original_resized_images: IMAGE; "
        "color_correction_method: {lab/wavelet/adain/none}=lab) -> images: IMAGE"
    ),
    "PiDConditioning": (
        "(positive: CONDITIONING; latent: LATENT; latent_format: {flux/sd3/sdxl/qwenimage}=flux; "
        "degrade_sigma: FLOAT=0.0(0.0..1.0 step 0.01)) -> CONDITIONING"
    ),
    "StartLoop": (
        "(mode: dyn{simple[num_iterations: INT=4(0..)]/For[start_iteration_index: INT=0; "
        "max_iteration: INT=4; step: INT=1(1..)]/List[list: *]}; cache_iterations: BOOLEAN=False "
        "adv; parent_iteration?: INT; initial_iteration_value?: *) -> iteration_index: INT, "
        "is_first: BOOLEAN, is_last: BOOLEAN, list_item: *, current_iteration_value: *"
    ),
    "EndLoop": (
        "(accumulate: BOOLEAN=False; output_value?: *; next_iteration_value?: *; "
        "terminations?: autogrow termination0...termination49 min 0 [termination: *]) "
        "-> outputs: *[]"
    ),
    "SaveAudioAdvanced": (
        "output_node (audio: AUDIO; filename_prefix: STRING=audio/ComfyUI; format: dyn{flac/"
        "mp3[quality: {V0/128k/320k}=V0]/opus[quality: {64k/96k/128k/192k/320k}=128k]}) "
        "-> audio: AUDIO"
    ),
}


def notation(info: Mapping[str, Any]) -> str:
    """An entry of GET /object_info as one line."""
    flags = [flag for flag in ("output_node", "experimental", "deprecated") if info.get(flag)]
    outputs = ", ".join(
        (kind if name == kind else f"{name}: {kind}") + ("[]" if is_list else "")
        for name, kind, is_list in zip(
            info["output_name"], info["output"], info["output_is_list"], strict=True
        )
    )
    return " ".join([*flags, f"({_inputs(info['input'])}) -> {outputs or 'nothing'}"])


def _inputs(sections: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{name}{'?' if section == 'optional' else ''}: {_type(spec)}"
        for section in ("required", "optional")
        for name, spec in sections.get(section, {}).items()
    )


def _type(spec: Any) -> str:
    kind, options = str(spec[0]), spec[1] if len(spec) > 1 else {}
    if kind == "COMBO":
        kind = "{" + "/".join(str(choice) for choice in options["options"]) + "}"
    elif kind == "COMFY_DYNAMICCOMBO_V3":
        opened = [(option["key"], _inputs(option["inputs"])) for option in options["options"]]
        kind = "dyn{" + "/".join(f"{key}[{inside}]" if inside else key for key, inside in opened)
        kind += "}"
    elif kind == "COMFY_AUTOGROW_V3":
        template = options["template"]
        names = template.get("names")
        first = names[0] if names else f"{template['prefix']}0"
        last = names[-1] if names else f"{template['prefix']}{template['max'] - 1}"
        kind = f"autogrow {first}...{last} min {template['min']} [{_inputs(template['input'])}]"
    if "default" in options:
        kind += f"={options['default']}"
    if "min" in options or "max" in options:
        step = f" step {options['step']}" if "step" in options else ""
        kind += f"({options.get('min', '')}..{options.get('max', '')}{step})"
    return kind + (" adv" if options.get("advanced") else "")
