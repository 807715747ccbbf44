"""The private interfaces of vLLM that this plugin needs, in one place.

What is used elsewhere in the package (layers, the processor's base classes, the model registry) is what vLLM
offers to model authors. What stands here is not, and may change in any release; so the versions that are known are
named (`server/vllm_versions.py`), and any other one ends start-up with a line that says so.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm.version import __version__ as vllm_version

from server.errors import UnknownVersionError
from server.llama_vision.geometry import BatchView
from server.vllm_versions import ANY, PINNED, READ, is_known

if TYPE_CHECKING:
    from collections.abc import Callable

ARCHITECTURE = "MllamaForConditionalGeneration"
MODEL_TYPE = "mllama"
CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def check_version(version: str = vllm_version) -> None:
    """Refuse a vLLM whose private interfaces were not checked.

    Raises:
        UnknownVersionError: Says which versions are known.
    """
    if not is_known(version):
        known = " and ".join([PINNED, *sorted(READ)])
        raise UnknownVersionError(
            f"babelview's Llama 3.2 Vision plugin knows vLLM {known}, this is {version}: "
            f"install vllm=={PINNED}, or a babelview that knows this version ({ANY}=1 tries it all the same)"
        )


@cache
def prepare_configuration(accept: Callable[[Any], None], extra_tokens: int) -> None:
    """Let vLLM ask about the settings of this model, and count its vocabulary with the ids that cannot be written.

    vLLM sizes what it indexes by token (log probabilities, penalties) by the vocabulary, and `<|image|>` lies behind
    it: a prompt's log probabilities would be read out of bounds, which ends the engine.

    Args:
        accept: Is called with all settings, once, before anything is loaded; may change them, or raise.
        extra_tokens: Ids behind the vocabulary of the head.
    """
    from vllm.model_executor.models.config import (  # noqa: PLC0415 - where a configuration is read, it is loaded
        MODELS_CONFIG_MAP,
        VerifyAndUpdateConfig,
    )
    from vllm.transformers_utils.model_arch_config_convertor import (  # noqa: PLC0415
        MODEL_ARCH_CONFIG_CONVERTORS,
        ModelArchConfigConvertorBase,
    )

    class Settings(VerifyAndUpdateConfig):  # type: ignore[misc]
        verify_and_update_config = staticmethod(accept)

    class Convertor(ModelArchConfigConvertorBase):  # type: ignore[misc]
        def get_vocab_size(self) -> int:
            return int(super().get_vocab_size()) + extra_tokens

    MODELS_CONFIG_MAP[ARCHITECTURE] = Settings
    MODEL_ARCH_CONFIG_CONVERTORS[MODEL_TYPE] = Convertor


def prepare_prompts() -> None:
    """Let vLLM render chats by `CHAT_TEMPLATE`, and take the text for a request's prompt.

    A template that is given (`--chat-template`) still wins; the checkpoint's own does not. And for an encoder-decoder
    model vLLM takes the encoder's side for the prompt, so `echo` would find no text, which is an error without a
    message.

    Does nothing as long as this process renders no prompts.
    """
    if "vllm.renderers.hf" in sys.modules:
        _prepare_renderer()


@cache
def _prepare_renderer() -> None:
    from vllm.renderers import hf  # noqa: PLC0415 - loaded already
    from vllm.renderers.inputs import preprocess  # noqa: PLC0415

    resolve, target = hf.resolve_chat_template, preprocess.extract_target_prompt
    template = CHAT_TEMPLATE.read_text()

    @wraps(resolve)
    def with_ours(tokenizer: Any, chat_template: str | None, tools: Any, *, model_config: Any) -> Any:
        if chat_template is None and model_config.hf_config.model_type == MODEL_TYPE:
            chat_template = template
        return resolve(tokenizer, chat_template, tools, model_config=model_config)

    @wraps(target)
    def text_of(model_config: Any, prompt: Any) -> Any:
        if model_config.hf_config.model_type == MODEL_TYPE and isinstance(prompt, dict):
            return prompt.get("decoder_prompt") or target(model_config, prompt)
        return target(model_config, prompt)

    hf.resolve_chat_template = with_ours
    preprocess.extract_target_prompt = text_of


def current_batch(cross_attention_layer: str) -> BatchView | None:
    """Read how the batch that is being computed is divided among requests.

    The metadata of a cross-attention layer holds the number of keys where that of others holds the sequence
    length. Both model runners of vLLM (V1, V2) fill it in; both keep its tensors in place while a CUDA graph
    is replayed. V1 was run on a CPU; V2 and CUDA graphs need a GPU, and were read, not run.

    Args:
        cross_attention_layer: Name of any cross-attention layer of the model.

    Returns:
        None while vLLM measures memory or compiles, when there is no batch.
    """
    from vllm.forward_context import get_forward_context  # noqa: PLC0415 - heavy, needed by the worker alone

    metadata: Any = get_forward_context().attn_metadata
    if metadata is None:
        return None
    layer = metadata[cross_attention_layer]
    return BatchView(query_start=layer.query_start_loc, keys=layer.seq_lens)


@cache
def prepare_runner() -> None:
    """Make model runner V1 hand over pictures in the order of the batch, and both forget with vLLM's encoder cache.

    V1 runs the vision tower in the order in which requests were scheduled, but writes keys and values to the
    cache in the order of the batch. The two differ when a preempted request resumes beside a new one: without
    this, each gets the other's picture, silently. Model runner V2 orders them itself (read, not run).

    vLLM resets its encoder cache, which this model does not use, before it sleeps, when weights are loaded anew, after
    it has measured memory, and when told to: then the model's own has to be emptied too.
    """
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner  # noqa: PLC0415 - the worker's, and heavy

    original = GPUModelRunner._batch_mm_inputs_from_scheduler  # noqa: SLF001

    @wraps(original)
    def in_batch_order(runner: Any, scheduler_output: Any) -> Any:
        place = runner.input_batch.req_id_to_index
        inputs = scheduler_output.scheduled_encoder_inputs
        ordered = {request: inputs[request] for request in sorted(inputs, key=place.__getitem__)}
        return original(runner, replace(scheduler_output, scheduled_encoder_inputs=ordered))

    GPUModelRunner._batch_mm_inputs_from_scheduler = in_batch_order  # noqa: SLF001
    _forget_too(GPUModelRunner)
    if v2 := sys.modules.get("vllm.v1.worker.gpu.model_runner"):  # loaded where it is used
        _forget_too(v2.GPUModelRunner)


def _forget_too(runner_class: Any) -> None:
    reset = runner_class.reset_encoder_cache

    @wraps(reset)
    def reset_both(runner: Any) -> None:
        reset(runner)
        forget = getattr(runner.get_model(), "forget_pictures", None)
        if forget is not None:
            forget()

    runner_class.reset_encoder_cache = reset_both
