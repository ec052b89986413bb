"""Sampling of long videos in windows."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes=(
        "ContextWindowABC ContextHandlerABC IndexListContextWindow "
        "IndexListContextHandler IndexListCallbacks ContextSchedule ContextFuseMethod "
        "ContextSchedules ContextFuseMethods"
    ),
    functions=(
        "create_prepare_sampling_wrapper create_sampler_sample_wrapper "
        "get_matching_context_schedule get_matching_fuse_method "
        "create_windows_static_standard create_windows_uniform_looped "
        "create_weights_pyramid"
    ),
)
