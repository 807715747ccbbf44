"""A model that takes no pictures or no video, though it is to be served with them, does not start.

vLLM itself starts, and refuses each request that has any.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS = {"image": ("pictures", "max_images"), "video": ("video", "max_frames")}
"""What vLLM calls it -> in words, and the profile's setting."""


def install() -> None:
    """Let vLLM's API server look before it makes an engine."""
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415 - heavy

    plain = AsyncEngineArgs.create_engine_config

    @wraps(plain)
    def create_engine_config(arguments: Any, *others: Any, **named: Any) -> Any:
        made = plain(arguments, *others, **named)
        wanted = arguments.limit_mm_per_prompt or {}
        if any(isinstance(wanted.get(kind), int) and wanted[kind] for kind in SETTINGS):
            model = made.model_config
            check_limits(wanted, _supported(model), f"{arguments.model} ({model.architecture})")
        return made

    AsyncEngineArgs.create_engine_config = create_engine_config


def _supported(model: Any) -> Mapping[str, int | None]:
    """What vLLM says that a model takes; None: any number."""
    from vllm.multimodal import MULTIMODAL_REGISTRY  # noqa: PLC0415

    if not model.is_multimodal_model:
        return {}
    found: Mapping[str, int | None] = MULTIMODAL_REGISTRY.create_processor(model).info.supported_mm_limits
    return found


def check_limits(wanted: Mapping[str, Any], supported: Mapping[str, int | None], model: str) -> None:
    """Compare what a model is to be served with and what it takes.

    Args:
        wanted: By vLLM's names of the kinds of media, so many a request.
        supported: Likewise; None: any number.
        model: For people.

    Raises:
        SystemExit: It takes none of a kind, or fewer; says what to set.
    """
    for kind, (words, setting) in SETTINGS.items():
        count, most = wanted.get(kind) or 0, supported.get(kind, 0)
        if not isinstance(count, int) or most is None or count <= most:
            continue
        if most:
            raise SystemExit(f"{model} takes {most} of {kind} a request in vLLM, not {count}: {setting} = {most}")
        takes = ", ".join(supported) or "text alone"
        raise SystemExit(f"{model} takes no {words} in vLLM, but {takes}: leave out {setting}")
