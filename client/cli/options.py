"""The options of the client's commands, in the groups of their help."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from client.cli import values
from client.cli.command import Option
from client.cores import cores
from client.endpoints.addresses import BASE_URL, TRANSLATOR
from client.media.kinds import Animated
from client.media.sampling import FRAMES, MAX_FRAMES, Fit
from client.tasks.plan import IMAGE_MODEL, SPEECH_MODEL, VIDEO_MODEL
from client.tasks.steps import LONGEST_SCENE_S, MERGED_CHARACTERS, SHORTEST_SCENE_S

FRAMES_AS = ("auto", "video", "images")
SAMPLING = (
    "What the model sees of a video: --frames N, spread from the first to the last, or --fps or --every, by the "
    "clock. LLaVA-NeXT-Video spends 144 tokens on a frame, of 4096 for frames, question and answer together."
)
"""What the help says of the group `sampling`."""

_PATH = click.Path(path_type=Path)
_input, _questions, _sampling, _server, _output, _run = (
    partial(Option, group=name) for name in ("input", "questions", "sampling", "server", "output", "run")
)


def _pattern(flag: str, what: str) -> Option:
    text = f"{what} of a folder's files, as in a .gitignore: '*.mp4', 'brand/', '/top/*.jpg'; repeatable"
    return _input(flag, multiple=True, metavar="GLOB", help=text, allow_from_autoenv=False)


INPUT = (
    _input(
        "--manifest",
        multiple=True,
        metavar="FILE",
        help="a list of files and URLs, CSV or JSONL; its other columns go to the results. Relative paths begin at its "
        "own folder, else at the working one. A PATH that ends in .csv, .tsv or .jsonl is one too; other PATHs are "
        "folders (with all below them), files, and URLs: https://, s3://, gs://, az:// and others",
        allow_from_autoenv=False,
    ),
    _input("--column", metavar="NAME", help="the manifest's column of files  [default: file, path, url ...]"),
    _pattern("--include", "take only these"),
    _pattern("--exclude", "pass over these"),
    _input(
        "--max-download-mb",
        default="2000",
        type=values.count,
        metavar="MB",
        help="the largest file to fetch from a URL",
    ),
)
QUESTIONS = (
    _questions(
        "--tasks",
        default="describe",
        type=values.names,
        metavar="A,B",
        help="describe, tags, sentiment, ad; of videos over time captions, chapters, events, summary; of sound "
        "transcript; others, which "
        "prompts/README.md lists, or your own",
    ),
    _questions(
        "--question",
        multiple=True,
        metavar="TEXT",
        help="ask this as well; may be given repeatedly",
        allow_from_autoenv=False,
    ),
    _questions(
        "--languages",
        default="spa_Latn,fra_Latn,hin_Deva",
        type=values.languages,
        metavar="A,B",
        help='FLORES codes; "" for none',
    ),
    _questions(
        "--glossary",
        type=_PATH,
        metavar="FILE",
        help="terms that stay in translations (brands, slogans), one a line, or with set translations as a table "
        "(.csv, .tsv with the columns term, fr, de ...) or as .json",
    ),
    _questions(
        "--window",
        type=values.window,
        metavar="SECONDS|scenes",
        help="of a window, in which tasks over time go through a video; --frames of each are sent. scenes: from cut to "
        "cut  [default: 10]",
    ),
    _questions(
        "--stride",
        type=values.seconds,
        metavar="SECONDS",
        help="a window every so many seconds, for windows that overlap  [default: one after the other]",
    ),
    _questions(
        "--min-scene",
        type=values.seconds,
        metavar="SECONDS",
        help=f"of --window scenes: cuts that follow each other faster are one  [default: {SHORTEST_SCENE_S:g}]",
    ),
    _questions(
        "--max-scene",
        type=values.seconds,
        metavar="SECONDS",
        help=f"of --window scenes: longer ones are asked about in parts of this length  [default: {LONGEST_SCENE_S:g}]",
    ),
    _questions(
        "--hear/--no-hear",
        is_flag=True,
        default=None,
        type=values.Switch(),
        help="tell describe, sentiment, ad, captions, chapters, summary and questions what is said in the video, which "
        "a speech model transcribes first  [default: where one is served; a folder goes on as in its last run]",
    ),
    _questions(
        "--audio-track",
        type=values.count,
        metavar="N",
        help="of the task transcript: which of a file's sound tracks is heard, from 1  [default: the one players take]",
    ),
    _questions(
        "--word-times",
        is_flag=True,
        type=values.Switch(),
        help="of the task transcript: the times of words too, if the endpoint gives them (OpenAI does; ours does not)",
    ),
    _questions("--prompts", type=_PATH, metavar="DIR", help="your own prompts, beside the built-in ones"),
    _questions(
        "--temperature",
        default="0",
        type=values.amount,
        metavar="T",
        help="0 always gives the likeliest answer",
    ),
    _questions(
        "--max-tokens",
        type=values.count,
        metavar="N",
        help="cut answers off after so many tokens  [default: as each prompt says]",
    ),
    _questions(
        "--ask-once",
        is_flag=True,
        type=values.Switch(),
        help="do not ask a second time for what is no caption (a refusal, a loop), but mark it as doubtful",
    ),
)
FRAMES_OF_VIDEOS = (
    _sampling(
        "--frames",
        type=values.count,
        metavar="N",
        help=f"frames of a video, evenly spread  [default: {FRAMES}]",
    ),
    _sampling("--fps", type=values.fraction, metavar="F", help="so many frames a second of the video, such as 0.5"),
    _sampling("--every", type=values.fraction, metavar="SECONDS", help="a frame every so many seconds of the video"),
    _sampling(
        "--max-frames",
        default=str(MAX_FRAMES),
        type=values.count,
        metavar="N",
        help="for --fps and --every: of a longer video, so many frames at wider steps",
    ),
    _sampling(
        "--frame-size",
        default="336",
        type=values.count,
        metavar="PIXELS",
        help="the square that the model sees of a frame",
    ),
    _sampling(
        "--fit",
        default=Fit.CROP.value,
        type=click.Choice([fit.value for fit in Fit]),
        metavar="|".join(Fit),
        help="crop: the model sees the central square of each frame, as in its training: of a 16:9 video 56%, at full "
        "size. pad: it sees the whole frame on a square with plain bars, at 56% of that width and height: for small "
        "print and logos at the edges. Pictures are always seen whole: Llama 3.2 Vision pads them itself",
    ),
    _sampling(
        "--animated",
        default=Animated.VIDEO.value,
        type=click.Choice([animated.value for animated in Animated]),
        metavar="|".join(Animated),
        help="what an animated picture (GIF, WebP, APNG, AVIF) is asked about as: the video that it is, or its first "
        "picture",
    ),
)
SERVER = (
    _server(
        "--base-url",
        default=BASE_URL,
        type=values.base_url,
        metavar="URL",
        help="any OpenAI-compatible endpoint; several that serve the same, with commas between, share the requests",
    ),
    _server("--model", metavar="NAME", help="who looks at everything; else these two:"),
    _server("--image-model", default=IMAGE_MODEL, metavar="NAME", help="who looks at pictures"),
    _server("--video-model", default=VIDEO_MODEL, metavar="NAME", help="who looks at videos"),
    _server("--text-model", metavar="NAME", help="who merges answers about windows  [default: who looks at pictures]"),
    _server("--speech-model", default=SPEECH_MODEL, metavar="NAME", help="who hears what is said"),
    _server(
        "--merge-characters",
        default=str(MERGED_CHARACTERS),
        type=values.count,
        metavar="N",
        help="of answers in one prompt to merge them, which has to fit into the model's context; more take levels",
    ),
    _server(
        "--frames-as",
        default="auto",
        type=click.Choice(FRAMES_AS),
        metavar="|".join(FRAMES_AS),
        help="send a video as one video part, which only vLLM knows, or as pictures; auto asks the endpoint",
    ),
    _server(
        "--translator",
        default=TRANSLATOR,
        type=values.url,
        metavar="URL",
        help="the translation service",
    ),
    _server("--concurrency", default="32", type=values.count, metavar="N", help="requests in flight, to each endpoint"),
    _server("--timeout", default="300", type=values.seconds, metavar="SECONDS", help="deadline of a single request"),
    _server(
        "--wait",
        default="600",
        type=values.amount,
        metavar="SECONDS",
        help="how long to wait for a server that is away",
    ),
)
EXPORT = (
    _output(
        "--format",
        default="json",
        type=values.names,
        metavar="A,B",
        help="of json, jsonl, csv, parquet, xlsx and reference; of answers over time vtt, srt and ffmetadata too, "
        "files in subtitles/; for other tools txt, xmp, imagefolder, webdataset, opensora, label-studio and fiftyone",
    ),
    _output(
        "--only-run",
        is_flag=True,
        type=values.Switch(),
        help="write the results of the last run alone, not of all that the folder knows",
    ),
)
"""What is written of an output folder, and how: options of `batch` and of `export`."""
CAPTION = (
    _output(
        "--caption",
        metavar="TASK",
        help="whose answers txt, xmp, imagefolder, webdataset and opensora have  [default: describe]",
    ),
    _output(
        "--caption-language",
        default="eng_Latn",
        type=values.language,
        metavar="CODE",
        help="in which language",
    ),
    _output(
        "--beside",
        is_flag=True,
        type=values.Switch(),
        help="txt and xmp: beside each picture and video, not in DIR/txt and DIR/xmp",
    ),
)
"""What formats with one text for each file take: options of `export`."""
OUTPUT = (
    _output(
        "--output",
        default="captions",
        type=values.output,
        metavar="DIR",
        help="where results and ledger are kept; with --ray a URL, too",
    ),
    *EXPORT,
    _output(
        "--report",
        is_flag=True,
        type=values.Switch(),
        help="also write report/index.html, to look at the results in a browser; babelview report does at any time",
    ),
    _output(
        "--no-thumbnails",
        is_flag=True,
        type=values.Switch(),
        help="keep no thumbnails for the report: up to 44 kB of a file",
    ),
)
RUN = (
    _run(
        "--redo",
        metavar="failed|doubtful|all|TASK",
        help="do again: what failed for good, doubtful answers, everything, or one task; given again after Ctrl-C or a "
        "crash, it goes on",
        allow_from_autoenv=False,
    ),
    _run(
        "--loaders",
        default=str(cores()),
        type=values.count,
        metavar="N",
        help="files decoded at once, each by its own process",
    ),
    _run(
        "--ray",
        type=values.cluster,
        metavar="local|auto|HOST:PORT",
        help="run on the machines of a Ray cluster, this one's own, a running one, or one at an "
        "address (docs/cluster.md)",
    ),
    _run(
        "--dry-run",
        is_flag=True,
        type=values.Switch(),
        help="say what would be done and what it would cost, and do nothing",
    ),
    _run("--price-in", type=values.amount, metavar="PRICE", help="of a million tokens of prompts: shows the cost"),
    _run("--price-out", type=values.amount, metavar="PRICE", help="of a million tokens of answers"),
    _run("--quiet", is_flag=True, type=values.Switch(), help="show only what needs attention"),
    _run("--log-file", type=_PATH, metavar="FILE", help="append every request, retry and failure to this file"),
)
BATCH_OPTIONS = (*INPUT, *QUESTIONS, *FRAMES_OF_VIDEOS, *SERVER, *OUTPUT, *RUN)
