"""The settings of a run: command line, else environment (`BABELVIEW_*`), else default."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from client.cli.options import API_KEY, OPENAI_KEY, PREFIX, TRANSLATOR_KEY, Options
from client.media.kinds import Kind
from client.media.sampling import FRAMES, MAX_FRAMES, Fit, Sampling
from client.sources.gather import is_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FRAMES_AS = ("auto", "video", "images")
_CHAT = "/chat/completions"

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
of the endpoint, if it needs one, comes from {API_KEY}, else from {OPENAI_KEY}: never from an option;
that of the translator from {TRANSLATOR_KEY}.

Another OpenAI endpoint instead of Babelview's own server:
  {OPENAI_KEY}=... python -m client.batch ./ads --base-url https://api.openai.com/v1 --model gpt-4o-mini

Exit code: 0 all done, 1 some failed, 2 wrong usage, 130 interrupted.
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a run can be told; times in seconds."""

    paths: list[str]
    """Folders, files and URLs."""
    manifests: list[Path]
    column: str | None
    include: list[str]
    exclude: list[str]
    max_download: int
    """Bytes."""
    base_url: str
    translator: str
    languages: tuple[str, ...]
    tasks: list[str]
    questions: list[str]
    prompts: Path | None
    output: Path
    formats: list[str]
    concurrency: int
    loaders: int
    sampling: Sampling
    frames_as: str
    temperature: float
    models: dict[Kind, str]
    wait: float
    timeout: float
    redo: str | None
    dry_run: bool
    prices: tuple[float, float] | None
    """Of a million tokens, in and out."""
    quiet: bool
    log_file: Path | None
    api_key: str | None
    translator_key: str | None
    warnings: list[str]
    """What is odd about the environment, to be shown."""


def read_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Read the command line and the environment.

    Raises:
        SystemExit: with code 2 and a message if they are wrong, with code 0 after `--help`.
    """
    options = Options(
        prog="python -m client.batch",
        usage="%(prog)s PATH [PATH ...] [options]",
        description="Describe folders of pictures and videos in many languages.\n\n" + _EXAMPLES,
        epilog=_EPILOG,
    )
    for describe in (_input, _questions, _sampling, _server, _output, _run):
        describe(options)
    given = options.read(arguments)
    if not given.paths and not given.manifest:
        options.parser.error("give a PATH or a --manifest; --help shows how")
    if options.typed("--max-frames") and not (given.fps or given.every):
        options.parser.error("--max-frames limits --fps and --every; without them --frames says how many are taken")
    if options.typed("--column") and not (given.manifest or any(map(is_manifest, given.paths))):
        options.parser.error("--column names a column of a manifest, and none is given")
    return Settings(
        paths=given.paths,
        manifests=given.manifest,
        column=given.column,
        include=given.include,
        exclude=given.exclude,
        max_download=given.max_download_mb * 1_000_000,
        base_url=given.base_url,
        translator=given.translator,
        languages=tuple(dict.fromkeys(given.languages)),
        tasks=given.tasks,
        questions=given.question,
        prompts=given.prompts,
        output=given.output,
        formats=list(dict.fromkeys(given.format)),
        concurrency=given.concurrency,
        loaders=given.loaders,
        sampling=Sampling(
            given.frames or FRAMES,
            given.frame_size,
            given.every or (1 / given.fps if given.fps else None),
            given.max_frames,
            Fit(given.fit),
        ),
        frames_as=given.frames_as,
        temperature=given.temperature,
        models={Kind.IMAGE: given.model or given.image_model, Kind.VIDEO: given.model or given.video_model},
        wait=given.wait,
        timeout=given.timeout,
        redo=given.redo,
        dry_run=given.dry_run,
        prices=None if given.price_in is given.price_out is None else (given.price_in or 0.0, given.price_out or 0.0),
        quiet=given.quiet,
        log_file=given.log_file,
        api_key=options.key(API_KEY, OPENAI_KEY),
        translator_key=options.key(TRANSLATOR_KEY, several=True),
        warnings=options.unknown_variables(),
    )


def _input(options: Options) -> None:
    options.group("input")
    options.unset(
        "paths",
        nargs="*",
        metavar="PATH",
        help="folders (with all below them), files, manifests, and URLs: https://, s3://, gs://, az:// and others",
    )
    options.unset(
        "--manifest",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a list of files and URLs, CSV or JSONL; its other columns go to the results. Relative paths begin at its "
        "own folder, else at the working one. A PATH that ends in .csv, .tsv or .jsonl is one too",
    )
    options.option(
        "--column", None, metavar="NAME", help="the manifest's column of files (default: file, path, url ...)"
    )
    for flag, what in (("--include", "take only these"), ("--exclude", "pass over these")):
        options.unset(
            flag,
            action="append",
            default=[],
            metavar="GLOB",
            help=f"{what} of a folder's files, as in a .gitignore: '*.mp4', 'brand/', '/top/*.jpg'; repeatable",
        )
    options.option("--max-download-mb", "2000", _count, metavar="MB", help="the largest file to fetch from a URL")


def _questions(options: Options) -> None:
    options.group("questions")
    options.option(
        "--tasks", "describe", _names, metavar="A,B", help="describe, tags, sentiment, ad, or one of --prompts"
    )
    options.unset(
        "--question", action="append", default=[], metavar="TEXT", help="ask this as well; may be given repeatedly"
    )
    options.option("--languages", "spa_Latn,fra_Latn,hin_Deva", _names, metavar="A,B", help='FLORES codes; "" for none')
    options.option("--prompts", None, Path, metavar="DIR", help="your own prompts, beside the built-in ones")
    options.option("--temperature", "0", _positive, metavar="T", help="0 always gives the likeliest answer")


def _sampling(options: Options) -> None:
    options.group(
        "sampling",
        "What the model sees of a video: --frames N, spread from the first to the last, or --fps or --every, by the\n"
        "clock. LLaVA-NeXT-Video spends 144 tokens on a frame, of 4096 for frames, question and answer together.",
    )
    options.option("--frames", None, _count, metavar="N", help=f"frames of a video, evenly spread (default: {FRAMES})")
    options.option("--fps", None, _fraction, metavar="F", help="so many frames a second of the video, such as 0.5")
    options.option("--every", None, _fraction, metavar="SECONDS", help="a frame every so many seconds of the video")
    options.alternatives("--frames", "--fps", "--every")
    options.option(
        "--max-frames",
        str(MAX_FRAMES),
        _count,
        metavar="N",
        help="for --fps and --every: of a longer video, so many frames at wider steps",
    )
    options.option("--frame-size", "336", _count, metavar="PIXELS", help="the square that the model sees of a frame")
    options.option(
        "--fit",
        Fit.CROP.value,
        _one_of(*Fit),
        metavar="|".join(Fit),
        help="crop: the model sees the central square of each frame, as in its training: of a 16:9 video 56%, at full "
        "size. pad: it sees the whole frame on a square with plain bars, at 56% of that width and height: for small "
        "print and logos at the edges. Pictures are always seen whole: Llama 3.2 Vision pads them itself",
    )


def _server(options: Options) -> None:
    options.group("server")
    options.option(
        "--base-url", "http://127.0.0.1:8000/v1", _base_url, metavar="URL", help="any OpenAI-compatible endpoint"
    )
    options.option("--model", None, metavar="NAME", help="who looks at everything; else these two:")
    options.option("--image-model", "llama-3.2-11b-vision", metavar="NAME", help="who looks at pictures")
    options.option("--video-model", "llava-next-video-7b", metavar="NAME", help="who looks at videos")
    options.option(
        "--frames-as",
        "auto",
        _one_of(*FRAMES_AS),
        metavar="|".join(FRAMES_AS),
        help="send a video as one video part, which only vLLM knows, or as pictures; auto asks the endpoint",
    )
    options.option("--translator", "http://127.0.0.1:8003", _url, metavar="URL", help="the translation service")
    options.option("--concurrency", "32", _count, metavar="N", help="requests in flight")
    options.option("--timeout", "300", _seconds, metavar="SECONDS", help="deadline of a single request")
    options.option("--wait", "600", _positive, metavar="SECONDS", help="how long to wait for a server that is away")


def _output(options: Options) -> None:
    options.group("output")
    options.option("--output", "captions", Path, metavar="DIR", help="where results and ledger are kept")
    options.option(
        "--format",
        "json",
        _names,
        metavar="A,B",
        help="of json, jsonl, csv, parquet and reference; python -m client.export writes them at any other time",
    )


def _run(options: Options) -> None:
    options.group("run")
    options.unset(
        "--redo",
        metavar="failed|all|TASK",
        help="do again: what failed for good, everything, or one task; given again after Ctrl-C or a crash, it goes on",
    )
    options.option(
        "--loaders", str(_cores()), _count, metavar="N", help="files decoded at once, each by its own process"
    )
    options.switch("--dry-run", help="say what would be done and what it would cost, and do nothing")
    options.option(
        "--price-in", None, _positive, metavar="PRICE", help="of a million tokens of prompts: shows the cost"
    )
    options.option("--price-out", None, _positive, metavar="PRICE", help="of a million tokens of answers")
    options.switch("--quiet", help="show only what needs attention")
    options.option(
        "--log-file", None, Path, metavar="FILE", help="append every request, retry and failure to this file"
    )


def _cores() -> int:
    """The cores that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def _seconds(text: str) -> float:
    seconds = _positive(text)
    if seconds == 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return seconds


def _fraction(text: str) -> Fraction:
    try:
        number = Fraction(text)
    except (ValueError, ZeroDivisionError):
        number = Fraction(0)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return number


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(choices)}, not {text!r}")
        return text

    return read


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of the port, or of an IPv6 address
        right = False
    if not right:
        raise argparse.ArgumentTypeError(f"must be a URL such as http://127.0.0.1:8000, not {text!r}")
    if parts.username is not None or parts.query or parts.fragment:  # which may be secrets: they are not quoted
        raise argparse.ArgumentTypeError("must be a URL without user name, ? and #; keys come from the environment")
    return text.rstrip("/?#")


def _base_url(text: str) -> str:
    url = _url(text)
    if url.endswith(_CHAT):
        raise argparse.ArgumentTypeError(f"must be the URL to which {_CHAT} is added: {url.removesuffix(_CHAT)}")
    return url if urlsplit(url).path else f"{url}/v1"
