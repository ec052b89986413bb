"""Where text encoders look for files that prompts need."""

from __future__ import annotations

from models.text.combinations import TextFolders
from nodes.context import Services


def text_folders(services: Services) -> TextFolders:
    """Embeddings and tokenizers of this installation, and of the model hub unless that is off."""
    return TextFolders(
        embeddings=tuple(services.folders.kind_folders("embeddings")),
        tokenizers=tuple(services.folders.kind_folders("tokenizers")),
        asks_hub=not services.flags.get("offline", False),
    )
