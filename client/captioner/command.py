"""`babelview captioner`: captions over HTTP, without a gateway's other parts; see `--help`."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from client.captioner.config import MIB, Config, Limits, Models
from client.cli import values
from client.cli.command import Command, Option, invoke
from client.cli.options import BATCH_OPTIONS
from client.endpoints.keys import API_KEY, OPENAI_KEY, TRANSLATOR_KEY, endpoint_key, translator_key
from client.errors import BabelviewError, UsageError

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

FAILED, USAGE = 1, 2
_DESCRIPTION = """\
Describe pictures, videos and sounds that are sent by HTTP: POST /v1/captions, docs/captions-over-http.md.

  babelview captioner                                         before a stack of this machine
  babelview captioner --base-url http://gpu:8000/v1 --translator http://gpu:8000

babelview up starts it as a part of the stack, behind the gateway, which asks for keys. The key that comes with a
request is the one that it asks the models with; whether it is right, only they say. With a --host beyond loopback,
requests without a key get 401. Runs until SIGTERM.
"""
_EPILOG = f"""\
Options can be set in the environment too, as BABELVIEW_CAPTIONER_AT_ONCE and so on; those of the models as for
babelview batch. {API_KEY}, else {OPENAI_KEY}, is for requests without a key, on loopback only, as {TRANSLATOR_KEY}
is for a translator beside the gateway.
"""
_LIMITS = Limits()
_PATH = click.Path(path_type=Path)
_server, _limits = partial(Option, group="server"), partial(Option, group="limits")


def _own(kind: Any, flag: str, **attributes: Any) -> Option:
    """An option whose variable begins with `BABELVIEW_CAPTIONER_`."""
    option: Option = kind(flag, f"captioner_{flag.removeprefix('--').replace('-', '_')}", **attributes)
    return option


def _count(flag: str, default: int, what: str, metavar: str = "N") -> Option:
    return _own(_limits, flag, default=str(default), type=values.count, metavar=metavar, help=what)


_SHARED = {option.name: option for option in BATCH_OPTIONS}
_MODELS = ("base_url", "model", "image_model", "video_model", "text_model", "speech_model", "frames_as", "translator")
_OPTIONS = (
    _own(_server, "--host", default="127.0.0.1", metavar="HOST", help="where it listens"),
    _own(_server, "--port", default="8004", type=click.IntRange(0, 65535), metavar="N", help="0 takes a free one"),
    _own(_server, "--socket", type=_PATH, metavar="FILE", help="a Unix socket instead"),
    _own(
        _server,
        "--folder",
        default="captioner",
        type=values.folder,
        metavar="DIR",
        help="a folder for it alone: uploads while they are worked on, and jobs, which go on after a restart",
    ),
    _count("--upload-mb", _LIMITS.upload_bytes // MIB, "files of one request", "MIB"),
    _count("--uploads-mb", _LIMITS.uploads_bytes // MIB, "files of all requests and jobs, on the disk", "MIB"),
    _count("--json-mb", _LIMITS.json_bytes // MIB, "a body of JSON; larger files come as a form", "MIB"),
    _count("--files", _LIMITS.files, "files of one request, frames counted"),
    _count("--at-once", _LIMITS.at_once, "requests that are worked on at the same time"),
    _count("--decoders", _LIMITS.decoders, "files that are decoded at the same time, half of them for jobs at most"),
    _count("--decoder-mb", _LIMITS.decoder_bytes // MIB, "memory that decoding a file may take", "MIB"),
    _count("--waiting", _LIMITS.waiting, "requests that may wait, or come in, beside them; others get 429"),
    _own(
        _limits,
        "--wait",
        default=f"{_LIMITS.wait_s:g}",
        type=values.amount,
        metavar="SECONDS",
        help="how long a request waits for a model that is away or full",
    ),
    _own(
        _limits,
        "--timeout",
        default=f"{_LIMITS.timeout_s:g}",
        type=values.seconds,
        metavar="SECONDS",
        help="deadline of a single question to a model",
    ),
    *(_SHARED[name] for name in _MODELS),
    _own(_server, "--no-translator", is_flag=True, type=values.Switch(), help="translate nothing"),
)


def _config(given: dict[str, Any]) -> Config:
    own = {name.removeprefix("captioner_"): value for name, value in given.items() if name.startswith("captioner_")}
    models = Models(
        base_url=given["base_url"],
        translator=None if own["no_translator"] else given["translator"],
        image_model=given["model"] or given["image_model"],
        video_model=given["model"] or given["video_model"],
        text_model=given["text_model"],
        speech_model=given["speech_model"],
        frames_as=given["frames_as"],
    )
    limits = Limits(
        upload_bytes=own["upload_mb"] * MIB,
        uploads_bytes=own["uploads_mb"] * MIB,
        json_bytes=own["json_mb"] * MIB,
        files=own["files"],
        at_once=own["at_once"],
        waiting=own["waiting"],
        decoders=own["decoders"],
        decoder_bytes=own["decoder_mb"] * MIB,
        wait_s=own["wait"],
        timeout_s=own["timeout"],
    )
    return Config(folder=own["folder"], models=models, limits=limits, keys_only=_is_exposed(given))


def _callback(**given: Any) -> int:
    try:
        if _is_exposed(given) and (endpoint_key() or translator_key()):
            raise UsageError(
                f"--host {given['captioner_host']}: everybody could ask with the key in the environment ({API_KEY}, "
                f"{OPENAI_KEY}, {TRANSLATOR_KEY}): unset it, or listen on loopback"
            )
        return _run(_config(given), _listener(given))
    except KeyboardInterrupt:
        return 0
    except BabelviewError as error:
        click.echo(f"Error: {error}", err=True)
        return USAGE if isinstance(error, UsageError) else FAILED


def _listener(given: dict[str, Any]) -> socket.socket:
    from client.captioner.serve import listen, listen_at  # noqa: PLC0415  # HTTP, which --help need not wait for

    path: Path | None = given["captioner_socket"]
    return listen_at(path) if path else listen(given["captioner_host"], given["captioner_port"])


def _run(config: Config, listener: socket.socket) -> int:
    from client.captioner.serve import serve, set_up_log  # noqa: PLC0415  # late, as in _listener

    set_up_log()
    with listener:
        name = listener.getsockname()
        click.echo(f"captions at {name if isinstance(name, str) else f'http://{name[0]}:{name[1]}'}/v1/captions")
        asyncio.run(serve(config, listener))
    return 0


def _is_exposed(given: dict[str, Any]) -> bool:
    """Whether others than this machine can connect."""
    return not given["captioner_socket"] and not _is_loopback(given["captioner_host"])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


command = Command("captioner", params=[*_OPTIONS], callback=_callback, help=_DESCRIPTION, epilog=_EPILOG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return invoke(command, arguments, "python -m client.captioner") or 0


if __name__ == "__main__":
    sys.exit(main())
