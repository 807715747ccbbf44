"""`python -m translator`: the translation service."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.log import server_logger

from translator.checks import scripts
from translator.model import models

try:
    from translator.http import Limits, State, make_app
    from translator.http.server import Listener, Terse
except ImportError as error:
    raise SystemExit(f"error: {error}: pip install 'babelview[translator]'") from error

if TYPE_CHECKING:
    from translator.batcher import Batcher

logger = logging.getLogger("translator")

KEYS = "BABELVIEW_TRANSLATOR_API_KEY"
MAX_LINE = 256 << 10
"""Longest request line: some of LibreTranslate's clients put the text into the query string."""

EXAMPLES = """\
examples:
  python -m translator                                  NLLB-200 600M, from the hub on first use
  python -m translator --model demo                     the tiny model that comes with Babelview
  python -m translator --model ./nllb-3.3B --device cuda --replicas 2
  python -m translator --model facebook/nllb-200-1.3B --beam-size 1 --port 9003
  BABELVIEW_TRANSLATOR_API_KEY=secret1,secret2 python -m translator --host 0.0.0.0

ask it, several texts and languages at once, with a verdict per sentence:
  curl localhost:8003/v1/translations -H 'Content-Type: application/json' \\
    -d '{"texts": ["It has two scenes."], "source": "en", "targets": ["fr", "hin_Deva"]}'
or as LibreTranslate (its clients work unchanged; a form does, too), or as nllb-serve:
  curl localhost:8003/translate -d q='It has two scenes.' -d source=auto -d target=fr
  curl localhost:8003/translate -d source='It has two scenes.' -d src_lang=eng_Latn -d tgt_lang=fra_Latn
  curl localhost:8003/languages; curl localhost:8003/metrics

Languages: FLORES-200 codes, BCP-47 tags and ISO 639 codes (fra_Latn, fr-CA, fra). With keys in the environment every
request needs one: "Authorization: Bearer KEY", or LibreTranslate's field api_key. SIGTERM finishes what was accepted.
A checkpoint is converted for CTranslate2 on first use, into $BABELVIEW_CACHE (default ~/.cache/babelview).
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    make = argparse.ArgumentParser(
        prog="python -m translator",
        description="Translate texts with NLLB-200, sentence by sentence, over HTTP.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    env = os.environ.get
    make.add_argument(
        "--model",
        default=env("BABELVIEW_TRANSLATOR_MODEL", models.DEFAULT_MODEL),
        help="checkpoint folder, CTranslate2 folder, hub name, or 'demo' (default: %(default)s)",
    )
    make.add_argument("--host", default=env("BABELVIEW_TRANSLATOR_HOST", "127.0.0.1"), help="(default: %(default)s)")
    make.add_argument(
        "--port",
        type=int,
        default=env("BABELVIEW_TRANSLATOR_PORT", "8003"),
        help="0 takes any free one (default: %(default)s)",
    )
    make.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: %(default)s)")
    make.add_argument(
        "--compute-type",
        default="auto",
        metavar="TYPE",
        help="of CTranslate2, such as int8_float16 (default: auto)",
    )
    make.add_argument("--threads", type=_positive, default=0, help="CPU threads of a batch (default: up to 4)")
    make.add_argument(
        "--replicas",
        type=_positive,
        default=0,
        help="batches that run at once (default: on CPU as many as cores have threads for, up to 4; on CUDA 1)",
    )
    make.add_argument("--beam-size", type=_positive, default=4, help="1 is greedy and quicker (default: 4)")
    make.add_argument(
        "--scripts",
        type=_scripts,
        default="Latn,Deva",
        metavar="CODES",
        help="writing systems of most translations, as the languages' codes end: into these, and Latin, only tokens of "
        "these are searched, which is quicker; other languages work as before; '' searches all (default: %(default)s)",
    )
    make.add_argument(
        "--batch-tokens",
        type=_positive,
        help="source tokens in a batch (default: 512 on CPU, 1024 if greedy, 8192 on CUDA)",
    )
    make.add_argument("--queue", type=_positive, default=20_000, help="sentences that may wait (default: 20000)")
    make.add_argument("--cache-mb", type=int, default=16, help="memory for finished sentences (default: 16)")
    make.add_argument("--max-body-mb", type=_positive, default=4, help="largest request (default: 4)")
    make.add_argument("--max-texts", type=_positive, default=10_000, help="texts in a request (default: 10000)")
    make.add_argument(
        "--max-chars", type=_positive, default=2_000_000, help="characters in a request (default: 2000000)"
    )
    make.add_argument("--connections", type=_positive, default=1024, help="open at the same time (default: 1024)")
    make.add_argument("--body-timeout", type=float, default=30, help="seconds for a body to arrive (default: 30)")
    make.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let the web pages of an origin ask, such as https://example.org, or '*' (default: none)",
    )
    make.add_argument("--no-key", action="store_true", help="listen beyond loopback without an API key")
    make.add_argument("--grace", type=float, default=900, help="seconds to finish requests on exit (default: 900)")
    make.add_argument("--log-level", choices=("debug", "info", "warning"), default="info", help="(default: info)")
    return make


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _scripts(text: str) -> list[str]:
    found = [code.strip() for code in text.split(",") if code.strip()]
    if unknown := [code for code in found if code not in scripts.known()]:
        raise argparse.ArgumentTypeError(f"no script {unknown[0]!r}: choose of {', '.join(scripts.known())}")
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def load(args: argparse.Namespace, state: State) -> Batcher:
    """Prepare and load the model, make it translate once, and fill `state`.

    Raises:
        ModelError: no usable model; the message says why.
    """
    try:
        # Only now: loading CTranslate2 is what takes long, and a bad --model should not wait for it.
        from translator.batcher import Batcher  # noqa: PLC0415
        from translator.checks.checks import Thresholds  # noqa: PLC0415
        from translator.checks.review import guarded  # noqa: PLC0415
        from translator.detect import Detector  # noqa: PLC0415
        from translator.http.state import Loaded  # noqa: PLC0415
        from translator.languages import Languages  # noqa: PLC0415
        from translator.model.cores import share_out, usable_cores  # noqa: PLC0415
        from translator.model.engine import Engine, choose  # noqa: PLC0415
        from translator.service import TextTranslator  # noqa: PLC0415
    except ImportError as error:
        raise models.ModelError(f"{error}: pip install 'babelview[translator]'") from error
    try:
        device, compute_type = choose(args.device, args.compute_type)
    except ValueError as error:
        raise models.ModelError(str(error)) from error
    folder = await models.prepare(args.model, compute_type=compute_type)
    threads, replicas = args.threads, args.replicas or 1
    if device == "cpu":
        threads, replicas = share_out(args.threads, args.replicas, usable_cores())

    def start() -> Engine:
        return Engine(
            folder,
            device=device,
            compute_type=compute_type,
            threads=threads,
            replicas=replicas,
            beam_size=args.beam_size,
            scripts=args.scripts,
        )

    try:
        engine = await asyncio.to_thread(start)
    except Exception as error:  # a broken tokenizer file raises plain Exception
        raise models.ModelError(f"cannot load {folder}: {error}") from error
    languages = Languages(engine.vocabulary)
    if len(languages.all) < 2:
        raise models.ModelError(f"{args.model} has no NLLB language codes in its vocabulary: is it NLLB-200?")
    source, target = languages.all[0].code, languages.all[1].code
    first = await asyncio.to_thread(engine.translate, [engine.job("a", source, target)])
    if first[0].failed:
        raise models.ModelError(f"{args.model} does not translate: {first[0].faults[0]}")
    thresholds = Thresholds()
    batcher = Batcher(
        guarded(engine.translate, thresholds),
        replicas=replicas,
        batch_tokens=args.batch_tokens or engine.batch_tokens,
        queue_limit=args.queue,
        cache_bytes=args.cache_mb << 20,
        ran=state.metrics.ran,
    )
    batcher.start()
    state.metrics.watch(state.model, engine.description, batcher)
    state.loaded = Loaded(TextTranslator(engine, batcher, thresholds), languages, Detector(languages))
    logger.info(
        "%s is ready: %d languages, %s, %d at once", state.model, len(languages.all), engine.description, replicas
    )
    return batcher


def make_state(args: argparse.Namespace) -> State:
    """The service that the command line and the environment ask for, before its model is loaded."""
    limits = Limits(
        body=args.max_body_mb << 20, texts=args.max_texts, characters=args.max_chars, body_seconds=args.body_timeout
    )
    keys = tuple(key for part in os.environ.get(KEYS, "").split(",") if (key := part.strip()))
    return State(models.name_of(args.model), limits=limits, keys=keys, origins=tuple(args.cors))


async def serve(args: argparse.Namespace, state: State) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is in flight.

    Raises:
        ModelError: no usable model.
        OSError: the address cannot be listened on.
    """
    server_logger.addFilter(Terse())
    runner = web.AppRunner(
        make_app(state),
        handler_cancellation=True,  # who hangs up no longer waits in the queue
        access_log=None,
        shutdown_timeout=args.grace,
        max_line_size=MAX_LINE,
        lingering_time=2,  # for the rest of a body that was refused
    )
    await runner.setup()
    assert runner.server
    listener = Listener(runner.server, connections=args.connections)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    loading: asyncio.Task[Batcher] | None = None
    try:
        host, port = await listener.start(args.host, args.port)
        logger.info("listening on http://%s:%d, loading %s", host, port, state.model)
        loading = asyncio.create_task(load(args, state))
        await asyncio.wait({loading, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            batcher = await loading
            await stopped
            logger.info("asked to stop: %d sentences wait, what was accepted is finished", batcher.waiting)
    finally:
        state.closing = True
        stopped.cancel()
        if loading and not loading.done():
            loading.cancel()
            await asyncio.wait({loading})
        await listener.stop()
        await runner.cleanup()
        if loading and loading.done() and not loading.cancelled() and not loading.exception():
            await loading.result().close()
    logger.info("stopped")


def main(argv: list[str] | None = None) -> int:
    """Command line: 0 after a clean stop, 1 when the service cannot run, 2 for wrong usage."""
    make = parser()
    args = make.parse_args(argv)
    logging.basicConfig(level=args.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        state = make_state(args)
        if not (state.keys or args.no_key or _is_loopback(args.host)):
            make.error(f"--host {args.host} lets others in: set {KEYS} in the environment, or say --no-key")
        asyncio.run(serve(args, state))
    except models.ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: cannot listen on {args.host}:{args.port}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
