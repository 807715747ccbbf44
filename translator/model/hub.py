"""Checkpoints on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download

from translator.errors import ModelError

_WANTED = ["*.json", "*.safetensors", "*.bin", "*.txt"]


def download(name: str) -> Path:
    """Fetch a checkpoint from the hub (or find it in the hub's cache); the folder it is in.

    Raises:
        ModelError: the hub does not have it or does not answer.
    """
    try:
        return Path(snapshot_download(name, allow_patterns=_WANTED))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            "the hub does not have it or does not answer; --model also takes a folder, "
            f"such as `hf download {name} --local-dir FOLDER` makes ({reason})"
        ) from error
