"""The settings of a run: command line, else environment (`BABELVIEW_*`), else default."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from client.media.kinds import Kind
from client.media.video import Sampling

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "BABELVIEW_"
API_KEY = PREFIX + "API_KEY"

_EXAMPLES = """\
the five that most people need:
  python -m client.batch ./ads                              describe a folder, in four languages
  python -m client.batch ./ads --tasks describe,tags        more tasks, one look at each file
  python -m client.batch a.mp4 --question "What is sold?"   a question of your own
  python -m client.batch ./ads --languages ""               no translation
  python -m client.batch ./ads --redo failed                try again what was refused

Run it again at any time, also after Ctrl-C or a crash: only what is missing is done. Results are in
captions/ (--output): results.json for this run's files, ledger.db for all that was ever asked.
"""
_EPILOG = f"""\
Options can be set in the environment too: {PREFIX}CONCURRENCY=16 stands for --concurrency 16. The key
of the endpoint, if it needs one, comes from {API_KEY} only.
Exit code: 0 all done, 1 some failed, 2 wrong usage, 130 interrupted.
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a run can be told; times in seconds."""

    paths: list[Path]
    endpoint: str
    translator: str
    languages: tuple[str, ...]
    tasks: list[str]
    questions: list[str]
    prompts: Path | None
    output: Path
    concurrency: int
    sampling: Sampling
    temperature: float
    models: dict[Kind, str]
    wait: float
    timeout: float
    redo: str | None
    quiet: bool
    api_key: str


def read_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Read the command line and the environment.

    Raises:
        SystemExit: with code 2 and a message if they are wrong, with code 0 after `--help`.
    """
    given = _parser().parse_args(arguments)
    return Settings(
        paths=given.paths,
        endpoint=given.endpoint,
        translator=given.translator,
        languages=tuple(dict.fromkeys(given.languages)),
        tasks=given.tasks,
        questions=given.question,
        prompts=given.prompts,
        output=given.output,
        concurrency=given.concurrency,
        sampling=Sampling(given.frames, given.frame_size),
        temperature=given.temperature,
        models={Kind.IMAGE: given.image_model, Kind.VIDEO: given.video_model},
        wait=given.wait,
        timeout=given.timeout,
        redo=given.redo,
        quiet=given.quiet,
        # Servers that need no key still want the header to be well-formed.
        api_key=os.environ.get(API_KEY) or "none",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m client.batch",
        description="Describe folders of pictures and videos in many languages.\n\n" + _EXAMPLES,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="folders (with all below them) and files")

    def option(flag: str, default: Any, **settings: Any) -> None:
        # A default that is a string goes through `type` like an argument.
        name = PREFIX + flag.removeprefix("--").replace("-", "_").upper()
        shown = f"(default: {default})" if default else ""
        settings["help"] = f"{settings['help']} {shown}".rstrip().replace("%", "%%")
        parser.add_argument(flag, default=os.environ.get(name, default), **settings)

    option("--output", "captions", type=Path, metavar="DIR", help="where results and ledger are kept")
    option("--tasks", "describe", type=_names, metavar="A,B", help="what to do: the folders of prompts/")
    parser.add_argument(
        "--question",
        action="append",
        default=[],
        metavar="TEXT",
        help="ask this as well; may be given repeatedly",
    )
    option(
        "--languages",
        "spa_Latn,fra_Latn,hin_Deva",
        type=_names,
        metavar="A,B",
        help='FLORES codes; "" for none',
    )
    option("--prompts", None, type=Path, metavar="DIR", help="your own prompts, beside the built-in ones")
    option("--concurrency", "32", type=_count, metavar="N", help="requests in flight")
    option("--frames", "8", type=_count, metavar="N", help="frames of a video, evenly spread")
    option("--frame-size", "336", type=_count, metavar="PIXELS", help="the short edge of a frame at most")
    option("--temperature", "0", type=_positive, metavar="T", help="0 always gives the likeliest answer")
    option("--endpoint", "http://127.0.0.1:8000/v1", type=_endpoint, metavar="URL", help="the OpenAI endpoint")
    option("--translator", "http://127.0.0.1:8003", type=_url, metavar="URL", help="the translation service")
    option("--image-model", "llama-3.2-11b-vision", metavar="NAME", help="who looks at pictures")
    option("--video-model", "llava-next-video-7b", metavar="NAME", help="who looks at videos")
    option("--wait", "600", type=_positive, metavar="SECONDS", help="how long to wait for a server that is away")
    option("--timeout", "300", type=_positive, metavar="SECONDS", help="deadline of a single request")
    parser.add_argument(
        "--redo", metavar="failed|all|TASK", help="do again: what failed for good, everything, or one task"
    )
    parser.add_argument("--quiet", action="store_true", help="only what needs attention")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number, 0 or more, not {text!r}")
    return number


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"must be a URL such as http://127.0.0.1:8000, not {text!r}")
    return text.rstrip("/")


def _endpoint(text: str) -> str:
    url = _url(text)
    return url if urlsplit(url).path else f"{url}/v1"
