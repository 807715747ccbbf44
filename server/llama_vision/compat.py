"""The private interfaces of vLLM that this plugin needs, in one place.

What is used elsewhere in the package (layers, the processor's base classes, the model registry) is what vLLM
offers to model authors. What stands here is not, and may change in any release; so the versions it was
checked with are named, and any other one ends start-up with a line that says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vllm.version import __version__ as vllm_version

from server.errors import UnknownVersionError
from server.llama_vision.geometry import BatchView

KNOWN_VERSIONS = frozenset({"0.32.0"})


def check_version(version: str = vllm_version) -> None:
    """Refuse a vLLM whose private interfaces were not checked.

    Raises:
        UnknownVersionError: Says which versions are known.
    """
    if version.partition("+")[0] not in KNOWN_VERSIONS:
        known = " or ".join(sorted(KNOWN_VERSIONS))
        raise UnknownVersionError(
            f"babelview's Llama 3.2 Vision plugin knows vLLM {known}, this is {version}: "
            f"install vllm=={max(KNOWN_VERSIONS)}, or a babelview that knows this version"
        )


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


def keep_pictures_with_their_requests() -> None:
    """Make model runner V1 hand over pictures in the order of the batch.

    It runs the vision tower in the order in which requests were scheduled, but writes keys and values to the
    cache in the order of the batch. The two differ when a preempted request resumes beside a new one: without
    this, each gets the other's picture, silently. Model runner V2 orders them itself (read, not run).
    """
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner  # noqa: PLC0415 - the worker's, and heavy

    original = GPUModelRunner._batch_mm_inputs_from_scheduler  # noqa: SLF001
    if getattr(original, "keeps_batch_order", False):
        return

    def in_batch_order(runner: Any, scheduler_output: Any) -> Any:
        place = runner.input_batch.req_id_to_index
        inputs = scheduler_output.scheduled_encoder_inputs
        ordered = {request: inputs[request] for request in sorted(inputs, key=place.__getitem__)}
        return original(runner, replace(scheduler_output, scheduled_encoder_inputs=ordered))

    in_batch_order.keeps_batch_order = True  # type: ignore[attr-defined]
    GPUModelRunner._batch_mm_inputs_from_scheduler = in_batch_order  # noqa: SLF001
