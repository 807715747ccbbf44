"""Llama 3.2 Vision (`MllamaForConditionalGeneration`) for current vLLM, as an out-of-tree plugin.

vLLM removed the model after 0.10.2. With this package installed, `vllm serve <checkpoint>` knows it again:
vLLM calls `register` in each of its processes through the `vllm.general_plugins` entry point.

What runs where:
    config.py         how a checkpoint's config.json becomes what vLLM expects of an encoder-decoder model
    processor.py      a request's pictures and prompt -> tensors, or a clear error
    vision.py         tiles -> what the text layers look at (the vision tower and the projector)
    encoder_cache.py  keeps the outputs of the tower by picture content
    geometry.py       which rows of a batch may see which keys (Meta's mask)
    decoder.py        the text layers, with cross-attention to the pictures
    model.py          the whole, as vLLM sees it
    weights.py        checkpoint names
    nf4.py            4-bit checkpoints
    chat_template.jinja  how a conversation becomes a prompt
    compat.py         the private interfaces of vLLM that this needs, and the versions they were checked with
"""

from __future__ import annotations


def register() -> None:
    """Make the model known to vLLM, FP8 on a CPU quick, four bits possible there, and steps known to the supervisor.

    Where the environment asks for it, structured answers end within their tokens (`server/engines/json_closing.py`), of
    all models, calls of tools are told from other JSON (`server/engines/llama_tool_calls.py`), and transcriptions are
    whole (`server/engines/speech.py`). Else, on a GPU, nothing heavy and no other model is touched.
    """
    from transformers import AutoConfig  # noqa: PLC0415 - imported by every vLLM process, so only when called
    from vllm import ModelRegistry  # noqa: PLC0415

    from server.engines import cpu_amx, json_closing, llama_tool_calls, speech, step_watch  # noqa: PLC0415
    from server.engines.cpu_fp8 import register as register_cpu_fp8  # noqa: PLC0415
    from server.llama_vision.config import MllamaConfig  # noqa: PLC0415

    step_watch.register()
    cpu_amx.register()
    register_cpu_fp8()
    json_closing.install()
    llama_tool_calls.install()
    speech.install()
    AutoConfig.register(MllamaConfig.model_type, MllamaConfig, exist_ok=True)
    ModelRegistry.register_model(
        "MllamaForConditionalGeneration",
        "server.llama_vision.model:MllamaForConditionalGeneration",
    )
