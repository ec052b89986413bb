"""The version of ComfyUI whose behaviour this server has."""

__version__ = "0.8.0"
