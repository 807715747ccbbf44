"""One vLLM process: its command line and its environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from server.engines.engine_health import PATH as CORE_HEALTH
from server.engines.engine_health import CoreHealth
from server.engines.json_closing import LONGEST_STRING, MOST_ITEMS
from server.engines.llama_tool_calls import LLAMA_TOOL_PARSER
from server.engines.require_key import RequireKey
from server.engines.speech import VARIABLE as SPEECH
from server.engines.step_watch import VARIABLE as HEARTBEAT
from server.engines.vllm_entry import FAST_START
from server.engines.warm_up import STAGE as WARM_UP
from server.engines.warm_up import WarmUp
from server.key_variables import HUB_TOKENS, hidden_from
from server.sizing.machine import GIB
from server.supervision.part import PYTHON, Forked, Part, Probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from server.profile import EngineProfile

ENCODER_CACHE = "BABELVIEW_ENCODER_CACHE_MIB"
"""As `server/llama_vision/encoder_cache.py` reads it."""
ENTRY = "server.engines.vllm_entry"
NO_DOMAIN = "media.invalid"
"""vLLM fetches any URL while its list of allowed domains is empty; this name can never exist (RFC 6761)."""
STRUCTURED_OUTPUTS = {"backend": "guidance", "disable_any_whitespace": True}
STAGES = (
    ("Resolved architecture", "reading the model's configuration"),
    ("Initializing a V1 LLM engine", "starting the engine"),
    ("Starting to load model", "loading weights"),
    ("Loading weights took", "preparing the KV cache"),
    ("init engine", "starting the API server"),
    (WARM_UP, "trying every feature once"),
)
"""What vLLM's log says, and what is going on then."""
NO_LIMITS_OF_SOUND = {
    "VLLM_MAX_AUDIO_CLIP_FILESIZE_MB": "16384",
    "VLLM_MAX_AUDIO_DECODE_DURATION_S": "86400",
    "VLLM_MAX_AUDIO_DECODE_BYTES": str(16 << 30),
}
"""The gateway has decoded and counted it: its limits are those of a profile."""
UNSAFE = re.compile(r"[^\w.-]")
"""What must not stand in the name of a file."""


def engine_parts(
    engine: EngineProfile, runtime: Path, key_variables: Iterable[str] = (), *, on_gpu: bool = False
) -> list[Part]:
    """A process for each replica of `engine` on this machine, on Unix sockets in the private folder `runtime`.

    `key_variables` hold keys of replicas elsewhere, which are for the gateway alone.
    """
    hidden = hidden_from(*hub_tokens(engine), others=key_variables)
    variables = engine_environment(engine, runtime, on_gpu=on_gpu)
    gpus = [{"CUDA_VISIBLE_DEVICES": seen} for seen in engine.gpus] or [{}] * engine.replicas
    return [
        _engine_part(engine, runtime, name, hidden, variables | own)
        for name, own in zip(part_names(engine), gpus, strict=True)
    ]


def part_names(engine: EngineProfile) -> list[str]:
    """What the replicas of an engine are called."""
    name = UNSAFE.sub("-", engine.name)
    return [f"{name}-{replica}" if engine.replicas > 1 else name for replica in range(engine.replicas)]


def hub_tokens(engine: EngineProfile) -> tuple[str, ...]:
    """The variables with a token of the hub, if the engine has a use for one."""
    return () if engine.local_model is not None else HUB_TOKENS


def _engine_part(
    engine: EngineProfile, runtime: Path, name: str, hidden: frozenset[str], environment: Mapping[str, str]
) -> Part:
    public_socket = runtime / f"{name}.sock"
    socket = runtime / f"{name}.engine.sock" if engine.sleep_group else public_socket
    heartbeat = runtime / f"{name}.heartbeat"
    return Part(
        name=f"vllm-{name}",
        what=engine.name,
        command=engine_command(engine, ("--uds", str(socket))),
        forked=_forked(engine, ("--uds", str(socket))),
        heartbeat=heartbeat,
        env={HEARTBEAT: str(heartbeat), **environment},
        hidden=hidden,
        address=f"unix:{public_socket}",
        probe=Probe("http://engine", CORE_HEALTH, socket),
        sleep_group=engine.sleep_group,
        public_socket=public_socket if engine.sleep_group else None,
        poison_log=runtime / f"{name}.poison",
        start_timeout_s=engine.start_timeout_s,
        first_stage="importing vLLM",
        stages=STAGES,
        memory_limit_gib=engine.memory_limit_gib,
    )


def _forked(engine: EngineProfile, listen: Sequence[str]) -> Forked | None:
    if not engine.fast_start:
        return None
    late = frozenset(
        {HEARTBEAT, LONGEST_STRING, MOST_ITEMS, LLAMA_TOOL_PARSER, SPEECH, ENCODER_CACHE, *NO_LIMITS_OF_SOUND}
    )
    return Forked(ENTRY, tuple(engine_arguments(engine, listen)), late)


def engine_command(engine: EngineProfile, listen: Sequence[str]) -> tuple[str, ...]:
    """What starts one engine; `listen` is where, as `vllm serve` takes it."""
    return (*PYTHON, "-m", ENTRY, *engine_arguments(engine, listen))


def engine_arguments(engine: EngineProfile, listen: Sequence[str]) -> list[str]:
    """Arguments as `vllm serve` takes them; the profile's own come last and win."""
    arguments = [FAST_START] if engine.fast_start else []
    arguments += ["--model", str(engine.local_model or engine.model)]
    arguments += ["--served-model-name", *engine.names]
    arguments += listen
    arguments += ["--max-model-len", str(engine.max_model_len)]
    hears = engine.task == "transcribe"
    limits = {"image": engine.max_images, "video": int(engine.max_frames > 0), "audio": int(hears)}
    arguments += ["--limit-mm-per-prompt", orjson.dumps(limits).decode()]
    if engine.max_frames:
        # vLLM's default of 32 cuts what is beyond, silently.
        frames = {"video": {"num_frames": engine.max_frames}}
        arguments += ["--media-io-kwargs", orjson.dumps(frames).decode()]
    arguments += ["--allowed-media-domains", NO_DOMAIN]
    for middleware in (CoreHealth, RequireKey, WarmUp):  # the last one is the outermost
        arguments += ["--middleware", f"{middleware.__module__}.{middleware.__qualname__}"]
    if engine.dtype is not None:
        arguments += ["--dtype", engine.dtype]
    if engine.tensor_parallel > 1:
        arguments += ["--tensor-parallel-size", str(engine.tensor_parallel)]
    if engine.max_batched_tokens is not None:
        arguments += ["--max-num-batched-tokens", str(engine.max_batched_tokens)]
    if engine.max_requests is not None:
        arguments += ["--max-num-seqs", str(engine.max_requests)]
    if engine.kv_cache_gib is not None:
        arguments += ["--kv-cache-memory-bytes", str(int(engine.kv_cache_gib * GIB))]
    if engine.memory_utilization is not None:
        arguments += ["--gpu-memory-utilization", str(engine.memory_utilization)]
    if engine.sleep_group is not None:
        arguments += ["--enable-sleep-mode"]
    # JSON without white space, which a model may write for ever; its end is `server/engines/json_closing.py`.
    arguments += ["--structured-outputs-config", orjson.dumps(STRUCTURED_OUTPUTS).decode()]
    if engine.tool_parser is not None:
        arguments += ["--enable-auto-tool-choice", "--tool-call-parser", engine.tool_parser]
    if "--disable-log-stats" not in engine.args:  # without them vLLM refuses to start
        # Each answer tells its times in the engine, without the queue, under "metrics".
        arguments += ["--enable-per-request-metrics"]
    arguments += ["--disable-uvicorn-access-log"]
    return [*arguments, *engine.args]


def engine_environment(engine: EngineProfile, runtime: Path, *, on_gpu: bool = False) -> dict[str, str]:
    """Variables on top of our own environment; the profile's own win."""
    variables = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # Whether a step takes too long is for the supervisor to say; vLLM's own limit is five minutes.
        "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "86400",
        # Longer than the gateway keeps idle connections: it never writes into one that is being closed.
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "75",
        # Else what one thread has freed of a large picture is not there for the next, which decodes another one.
        "MALLOC_ARENA_MAX": "2",
        # vLLM's sockets and files go with the folder, also when it is killed.
        "TMPDIR": str(runtime),
        "TOKENIZERS_PARALLELISM": "false",
        # torch.distributed listens for its own processes; by default where the host's name points to.
        "VLLM_HOST_IP": "127.0.0.1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    if not on_gpu:
        # vLLM compiles single functions even with --enforce-eager, in the middle of a step and again after each start:
        # half a minute on two cores, in which nobody is answered.
        variables["TORCH_COMPILE_DISABLE"] = "1"
    variables[LONGEST_STRING] = str(engine.longest_json_string)
    variables[MOST_ITEMS] = str(engine.most_json_items)
    # Calls that are asked for are JSON by a schema, like other structured answers, instead of tags of xgrammar's.
    variables["VLLM_ENFORCE_STRICT_TOOL_CALLING"] = "0"
    if engine.tool_parser == "llama3_json":
        variables[LLAMA_TOOL_PARSER] = "1"
    if engine.task == "transcribe":
        variables[SPEECH] = "1"
        variables |= NO_LIMITS_OF_SOUND
    if engine.local_model is not None:
        variables["HF_HUB_OFFLINE"] = "1"  # or it waits for hosts that it does not need
    if engine.encoder_cache_gib is not None:
        variables[ENCODER_CACHE] = str(round(engine.encoder_cache_gib * 1024))
    if engine.sleep_group is not None:
        variables["VLLM_SERVER_DEV_MODE"] = "1"  # where /sleep is; what else is there the gateway lets nobody reach
    if engine.threads is not None:
        variables["OMP_NUM_THREADS"] = str(engine.threads)
        variables["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"  # several engines share the cores
    return variables | dict(engine.env)
