"""vLLM's OpenAI API server: `python -m server.engines.vllm_entry [--fast-start] <arguments of vllm serve>`.

vLLM's own command is not used: its CPU build looks for the metadata of a distribution that is not installed.

Nearly all of a small model's start is Python importing torch and vLLM, again in every process. `--fast-start`
imports them once: the engine core is a fork of the API server instead of a fresh interpreter, the worker
lives in the engine core, and the model class is inspected here instead of in a process of its own. That is
right on a CPU with one OpenMP thread and nowhere else: CUDA cannot be used after a fork, and GNU OpenMP's
threads hang. The API servers of a stack are themselves forked from one process that has imported all of it
(`server/supervision/fork_server.py`).
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from server.engines import media_limits, step_watch

if TYPE_CHECKING:
    import asyncio
    from argparse import Namespace
    from collections.abc import Sequence

FAST_START = "--fast-start"
ENGINE_IN_CORE = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
"""By its full name: vLLM 0.32 changes `uni` back to `mp` on CPUs, to bind OpenMP threads to cores. With one
thread there is nothing to bind."""

ARGUMENTS = ("vllm.entrypoints.common.cli_args", "vllm.entrypoints.launchers.cli_args")
"""Where vLLM has the parser of `vllm serve`: since 0.33, and before."""
WEB_MODULES = (
    "vllm.entrypoints.openai.chat_completion.api_router",
    "vllm.entrypoints.openai.responses.api_router",
    "vllm.entrypoints.anthropic.api_router",
    "model_hosting_container_standards.sagemaker",
)
"""With all that they import, nearly all of what vLLM imports after its engine is up."""
LATE_MODULES = (
    *(
        "vllm.v1.engine.async_llm",
        "vllm.v1.core.sched.scheduler",
        "vllm.v1.structured_output.backend_lm_format_enforcer",
    ),
    *("vllm.entrypoints.generate.structured_decisions.api_router", "vllm.entrypoints.scale_out.render.api_router"),
    *("vllm.entrypoints.serve.tokenize.api_router", "vllm.entrypoints.serve.instrumentator.metrics"),
    *("uvicorn.protocols.http.httptools_impl", "uvicorn.protocols.websockets.websockets_sansio_impl"),
    *("mistral_common.protocol.instruct.validator", "mistral_common.tokens.tokenizers.mistral"),
    *("server.llama_vision.config", "server.llama_vision.model", "server.llama_vision.processor"),
    *("vllm.model_executor.models.llava_next_video", "vllm.model_executor.models.whisper"),
)
"""What vLLM imports late, or only for some model: ours are pictures', videos' and speech's."""


def prepare() -> None:
    """Import what engines with `--fast-start` need, for those that will be forked from this process."""
    gc.disable()
    for name in ("vllm.entrypoints.launchers.api_server.entry", "vllm.v1.worker.cpu_worker", "uvloop", *WEB_MODULES):
        importlib.import_module(name)
    _first_module(ARGUMENTS)
    for name in LATE_MODULES:
        with suppress(ModuleNotFoundError):  # who needs it says so
            importlib.import_module(name)
    _import_quantization()
    _rebind_kernels()
    gc.freeze()


def _import_quantization() -> None:
    """To find one kind of quantisation, vLLM imports all of them."""
    from vllm.model_executor.layers.quantization import get_quantization_config  # noqa: PLC0415

    get_quantization_config("compressed-tensors")


def _rebind_kernels() -> None:
    """Let vLLM put C++ in the place of Triton's kernels now, once: for that it looks at all that was imported."""
    from vllm.platforms import current_platform  # noqa: PLC0415

    current_platform.register_triton_kernel_overrides()
    type(current_platform).register_triton_kernel_overrides = classmethod(lambda _: None)


def main(arguments: Sequence[str]) -> None:
    """Serve until told to stop."""
    # A quarter of a million objects are made while importing and none is garbage: 1.5 s of collections saved.
    gc.disable()
    import vllm.entrypoints.launchers.api_server.entry as api_server  # noqa: PLC0415

    media_limits.install()
    if FAST_START in arguments:
        _serve_fast([argument for argument in arguments if argument != FAST_START])
        return
    _collect_again()
    sys.argv = ["vllm", *arguments]
    api_server.main()


def _collect_again() -> None:
    """Garbage collection as usual, but not of what exists now: it stays, its pages shared after a fork."""
    gc.freeze()
    gc.enable()


def _serve_fast(arguments: Sequence[str]) -> None:
    """What `api_server.main()` does, with the engine core forked; its parts are vLLM's own."""
    import uvloop  # noqa: PLC0415
    from vllm.plugins import load_general_plugins  # noqa: PLC0415
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: PLC0415

    cli_args = _first_module(ARGUMENTS)
    args = cli_args.make_arg_parser(FlexibleArgumentParser()).parse_args(arguments)
    args.distributed_executor_backend = ENGINE_IN_CORE
    args.enforce_eager = True
    cli_args.validate_parsed_serve_args(args)
    load_general_plugins()
    _import_model(args)
    uvloop.run(_run(args))


def _first_module(names: Sequence[str]) -> Any:
    """The first of some modules that there is."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not name.startswith(error.name or name):  # it is there, and something that it needs is not
                raise
    raise ModuleNotFoundError(f"this vLLM has none of {', '.join(names)}")


def _import_model(args: Namespace) -> None:
    """Register the model's class itself, so that vLLM need not start a process to look at it."""
    from vllm.model_executor.models import ModelRegistry  # noqa: PLC0415
    from vllm.transformers_utils.config import get_config  # noqa: PLC0415

    for architecture in get_config(args.model, trust_remote_code=False).architectures or []:
        if lazy := ModelRegistry.models.get(architecture):
            ModelRegistry.register_model(architecture, lazy.load_model_cls())


async def _run(args: Namespace) -> None:
    import vllm.v1.worker.cpu_worker  # noqa: F401, PLC0415  # once, before the fork
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415
    from vllm.entrypoints.launchers.api_server.entry import build_and_serve  # noqa: PLC0415
    from vllm.entrypoints.launchers.launcher import setup_server  # noqa: PLC0415
    from vllm.usage.usage_lib import UsageContext  # noqa: PLC0415
    from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415

    step_watch.register()  # plugins are not loaded anew after a fork
    signal.signal(signal.SIGTERM, _interrupt)  # until vLLM's server installs its own
    address, listener = setup_server(args, reuse_port=False)
    engine_args = AsyncEngineArgs.from_cli_args(args)
    config = engine_args.create_engine_config(usage_context=UsageContext.OPENAI_API_SERVER)
    os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"  # making the config has set it to spawn
    os.register_at_fork(after_in_parent=_import_while_waiting)
    _collect_again()
    engine = AsyncLLM.from_vllm_config(
        config,
        usage_context=UsageContext.OPENAI_API_SERVER,
        enable_log_requests=engine_args.enable_log_requests,
        disable_log_stats=engine_args.disable_log_stats,
    )
    try:
        await engine.reset_mm_cache()  # waits for the warm-up of the processor too
        stopping: asyncio.Task[Any] = await build_and_serve(engine, address, listener, args)
    finally:
        engine.shutdown(timeout=config.shutdown_timeout)
    try:
        await stopping
    finally:
        listener.close()


def _import_while_waiting() -> None:
    """What the web application will import, on the second core, while the engine core loads the model."""

    def load() -> None:
        for name in WEB_MODULES:
            importlib.import_module(name)

    threading.Thread(target=load, daemon=True).start()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt("terminated")


def run(arguments: Sequence[str]) -> NoReturn:
    """Run, and end without tearing the interpreter down: bindings would print pages of leaks."""
    status = 1
    try:
        main(arguments)
        status = 0
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  # whatever it is, it goes to the log
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    run(sys.argv[1:])
