"""The flags on devices, memory, number types, attention and speed. docs/memory.md says the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from server.flag import Flag, noted, precision, switch, value

FAST_FEATURES: Final = ("fp16_accumulation", "fp8_matrix_mult", "cublas_ops", "autotune")


def _read_fast(given: list[str]) -> Mapping[str, object]:
    """Alone it means everything that it can mean."""
    return {"fast": given or list(FAST_FEATURES)}


MODELS: Final = [
    switch("--cpu", "use no GPU", "vram", cpu=True),
    *(
        Flag(name=name, text=text, sets={"vram_mode": mode}, group="vram")
        for name, mode, text in (
            ("--gpu-only", "gpu-only", "as --highvram, and values between nodes stay there"),
            ("--highvram", "high", "models are whole on the GPU, and may fill it"),
            ("--normalvram", "normal", "models are on the GPU as far as they fit (the default)"),
            ("--lowvram", "low", "models take half of the GPU's memory, text encoders none"),
            ("--novram", "none", "no weight is on the GPU for longer than its layer takes"),
        )
    ),
    value("--reserve-vram", "reserve_vram", "GPU memory that models leave free (0)", "GB"),
    value("--max-vram", "max_vram", "GPU memory that is used at most, as 8G (all)", "SIZE"),
    value("--max-ram", "max_ram", "RAM that weights take at most, as 8G (what is free)", "SIZE"),
    *precision("force-", "", "precision", ("fp32", "fp16")),
    *precision("", "-unet", "unet_precision", ("fp32", "bf16", "fp16")),
    Flag(
        name="--fp64-unet",
        text="use fp32, the finest there is, for unet weights",
        sets={"unet_precision": "fp32"},
        group="unet_precision",
    ),
    *precision("", "-unet", "unet_precision", ("fp8_e4m3fn", "fp8_e5m2")),
    noted("--fp8_e8m0fnu-unet", group="unet_precision"),  # a type without sign: no weights
    *precision("", "-vae", "vae_precision", ("fp16", "fp32", "bf16")),
    switch("--cpu-vae", "run VAEs on the CPU", cpu_vae=True),
    *precision(
        "",
        "-text-enc",
        "text_encoder_precision",
        ("fp16", "fp32", "bf16", "fp8_e4m3fn", "fp8_e5m2"),
    ),
    *(
        switch(name, text, "attention", attention=kernel)
        for name, kernel, text in (
            ("--use-pytorch-cross-attention", "pytorch", "attention by torch (the default)"),
            ("--use-split-cross-attention", "split", "attention in pieces, with less memory"),
            ("--use-quad-cross-attention", "split", "as --use-split-cross-attention"),
            ("--use-sage-attention", "sage", "attention by the package sageattention"),
            ("--use-flash-attention", "flash", "attention by the package flash-attn"),
            ("--use-xformers-attention", "xformers", "attention by the package xformers"),
        )
    ),
    noted("--use-ck-attention", group="attention"),
    noted("--disable-xformers"),
    switch("--force-upcast-attention", "attention in fp32", "upcast", upcast_attention=True),
    switch(
        "--dont-upcast-attention", "attention in its own type", "upcast", upcast_attention=False
    ),
    switch("--deterministic", "the same result in every run, if slower", deterministic=True),
    Flag(
        name="--fast",
        text=f"faster and less exact: {', '.join(FAST_FEATURES)}; alone: all",
        read=_read_fast,
        nargs="any",
        metavar="FEATURE",
    ),
]
