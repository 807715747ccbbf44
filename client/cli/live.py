"""`babelview live rtsp://camera/stream`: captions of what a camera or a stream shows now; see `--help`."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from client.cli import signals, values
from client.cli.command import Command, Option
from client.cli.options import BATCH_OPTIONS
from client.cli.settings import settings_of
from client.errors import BabelviewError, UsageError
from client.live.source import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.api.babelview import Babelview
    from client.api.live import Live, LiveOptions
    from client.cli.live_screen import LiveScreen
    from client.cli.settings import Settings

DONE, FAILED, USAGE = 0, 1, 2
DEFAULT_OUTPUT = "live"
_DESCRIPTION = """\
Caption what a camera or a stream shows, while it goes on.

  babelview live rtsp://camera/stream                a caption every two seconds, as it comes
  babelview live /dev/video0 --every 5 --span 10     a webcam: every 5 seconds, of the last 10
  babelview live https://example.org/live.m3u8 --languages es --output live --subtitles
  babelview live ad.mp4 --realtime                   a file, at the pace of its clock
  babelview live udp://0.0.0.0:5000 --alert "Is anybody at the door?" --on-alert ./ring.sh
  babelview live recording.ts                        a file that another program is writing

The newest frames win: a model that is too slow skips steps and never falls behind. A stream that is lost is looked for
again. Captions go to standard output, all else to standard error. Exit code: 0 the source ended, 1 it or a server was
lost, 2 wrong usage, 130 interrupted (Ctrl-C ends it at once).
"""
_EPILOG = """\
Options of the groups sampling and server, but for --timeout and --wait, and --glossary, --prompts and --temperature can
be set in the environment too (BABELVIEW_BASE_URL and so on). Keys come from the environment alone: BABELVIEW_API_KEY,
else OPENAI_API_KEY; BABELVIEW_TRANSLATOR_API_KEY; and to sign webhooks BABELVIEW_WEBHOOK_KEY.
"""


def _option(group: str, *flags: str, **attributes: Any) -> Option:
    return Option(*flags, group=group, allow_from_autoenv=False, **attributes)


def _pairs(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE` each."""
    for text in given:
        if not text.partition("=")[1] or not text.partition("=")[0]:
            raise click.BadParameter(f"must be KEY=VALUE, not {text!r}")
    return dict(text.split("=", 1) for text in given)


_CLOCK = (
    _option(
        "clock",
        "--every",
        "every_s",
        default="2",
        type=values.seconds,
        metavar="SECONDS",
        help="a caption every so many seconds",
    ),
    _option(
        "clock",
        "--span",
        "span_s",
        type=values.seconds,
        metavar="SECONDS",
        help="of the newest so many seconds  [default: --every]",
    ),
    _option(
        "clock",
        "--realtime/--no-realtime",
        default=None,
        is_flag=True,
        help="show a file at the pace of its own clock, or read it as one that grows  [default: as one that grows if "
        "something was just written to it]",
    ),
    _option(
        "clock",
        "--max-lag",
        "max_lag_s",
        type=values.seconds,
        metavar="SECONDS",
        help="leave out a caption that would be older  [default: 2 x --every, or twice what answers take]",
    ),
    _option(
        "clock",
        "--input-option",
        "input_options",
        multiple=True,
        callback=_pairs,
        metavar="KEY=VALUE",
        help="an option of FFmpeg's for the source, such as rtsp_transport=udp, framerate=30, video_size=1280x720",
    ),
)
_QUESTIONS = (
    _option(
        "questions",
        "--tasks",
        type=values.names,
        metavar="A,B",
        help='of babelview batch, such as describe or tags; "" for none but --question and --alert  [default: '
        "captions; of a single frame describe; none with --question]",
    ),
    _option("questions", "--question", multiple=True, metavar="TEXT", help="ask this as well; may be given repeatedly"),
    _option(
        "questions",
        "--languages",
        default="",
        show_default="none",
        type=values.languages,
        metavar="A,B",
        help="translate captions too",
    ),
    _option(
        "questions",
        "--hear/--no-hear",
        default=None,
        is_flag=True,
        help="transcribe what is said  [default: where a speech model is served]",
    ),
)
_ALERTS = (
    _option(
        "alerts",
        "--alert",
        "alerts",
        multiple=True,
        metavar="QUESTION",
        help="a question of yes or no, asked at each step; a change of its answer is told; may be given repeatedly",
    ),
    _option(
        "alerts",
        "--alert-after",
        default="1",
        type=values.count,
        metavar="N",
        help="so many answers one after the other make a change",
    ),
    _option(
        "alerts",
        "--on-alert",
        metavar="COMMAND",
        help="run this on a change, without a shell; it is told by ALERT_* in the environment, and by JSON on standard "
        "input",
    ),
    _option(
        "alerts", "--webhook", metavar="URL", help="post JSON there on a change; signed if BABELVIEW_WEBHOOK_KEY is set"
    ),
)
_OUTPUT = (
    _option(
        "output",
        "--output",
        type=values.folder,
        metavar="DIR",
        help="keep the ledger, JSON lines, and stills of alerts there  [default: nothing is kept; with --alert or "
        f"--subtitles {DEFAULT_OUTPUT}]",
    ),
    _option(
        "output",
        "--subtitles",
        is_flag=True,
        help="write live subtitles too: WebVTT segments and a playlist for each language, as HLS has them",
    ),
    _option(
        "output",
        "--rotate",
        "rotate_s",
        default="3600",
        type=values.seconds,
        metavar="SECONDS",
        help="begin a new session after this time: another JSONL file, another file of the ledger",
    ),
    _option(
        "output",
        "--keep",
        type=values.count,
        metavar="N",
        help="keep the newest N JSONL files, and stills of N alerts  [default: all]",
    ),
    _option("output", "--json", "as_json", is_flag=True, help="write a line of JSON for each event to standard output"),
)
_TIMEOUTS = (
    _option(
        "server",
        "--timeout",
        default="30",
        type=values.seconds,
        metavar="SECONDS",
        help="give up an answer that takes longer, and go on with the newest frames",
    ),
    _option(
        "server",
        "--wait",
        default="600",
        type=values.amount,
        metavar="SECONDS",
        help="how long to wait for a source, or a server, that is away",
    ),
)
_SHARED = (
    *("glossary", "prompts", "temperature", "frames", "frame_size", "fit"),
    *("base_url", "model", "image_model", "video_model", "speech_model", "frames_as", "translator"),
)
"""Options of `batch` that this command has too."""
_BATCH = {option.name or "": option for option in BATCH_OPTIONS}
_OWN_VALUES: dict[str, Any] = {
    "output": ".",
    "ray": None,
    "format": [],
    "no_thumbnails": True,
    "loaders": 1,
    "concurrency": 32,
    "quiet": True,
    "merge_characters": 6000,
    "max_download_mb": 1,
    "max_frames": 16,
    "animated": "video",
    "manifest": (),
    "include": (),
    "exclude": (),
    "ask_once": True,
    "word_times": False,
}
"""Values of those that it has not, where they are something."""


def _callback(source: str, **given: Any) -> None:
    signals.end_at_once()
    signals.open_closed_streams()
    own = {name: given.pop(name) for name in _NAMES}
    ctx = click.get_current_context()
    batch = dict.fromkeys(_BATCH) | _OWN_VALUES | dict.fromkeys(("only_run", "report", "dry_run"), False)
    settings = settings_of(ctx, {**batch, **given, "paths": [source]})
    signals.leave(_run(settings, source, own))


def _run(settings: Settings, source: str, own: dict[str, Any]) -> int:
    """Watch; gives the exit code."""
    # Imported late: HTTP and all that takes half a second, which --help need not wait for.
    from client.api.babelview import Babelview  # noqa: PLC0415
    from client.cli.live_screen import LiveScreen  # noqa: PLC0415
    from client.cli.log import open_log  # noqa: PLC0415

    screen = LiveScreen(as_json=own["as_json"])
    try:
        open_log(None)  # what happens is told in our own words
        for warning in settings.warnings:
            screen.note(warning)
        babelview = settings.session(Babelview)
        babelview.notify = screen.note
        live = babelview.live(source, **_options(settings, own, screen.piece))

        def interrupted() -> None:
            live.finish()
            screen.summary(live.stats, live.reader)

        signals.end_at_once(interrupted)
        for line in _intentions(live, own):
            screen.note(line)
        return asyncio.run(_watch(babelview, live, screen))
    except KeyboardInterrupt:
        return signals.INTERRUPTED
    except BabelviewError as error:
        screen.note(f"Error: {error}")
        return USAGE if isinstance(error, UsageError) else FAILED
    except OSError as error:
        if signals.nobody_reads():
            return signals.CLOSED_PIPE
        where = error.filename or _output(own) or "standard output"
        screen.note(f"Error: cannot write to {where}: {error.strerror or error}")
        return FAILED


def _output(own: dict[str, Any]) -> Path | None:
    """Where what comes is kept, if it is."""
    output: Path | None = own["output"]
    return output or (Path(DEFAULT_OUTPUT) if own["alerts"] or own["subtitles"] else None)


def _intentions(live: Live, own: dict[str, Any]) -> Iterator[str]:
    """What is done that was not said, before it begins."""
    name, pace = live.source.name, live.source.pace
    if own["realtime"] is None and live.source.is_file and pace is not Pace.LIVE and live.source.format is None:
        grows = "as a file that grows, from what is newest (--realtime: from its beginning, at the pace of its clock)"
        shown = "from its beginning, at the pace of its clock (--no-realtime: as a file that grows)"
        yield f"{name}: read {grows if pace is Pace.GROWING else shown}"
    if (output := _output(own)) and not own["output"]:
        yield f"kept in {output}: the ledger, lines of JSON, and what is asked for (--output)"


def _options(settings: Settings, own: dict[str, Any], on_piece: Any) -> LiveOptions:
    options: LiveOptions = {
        "questions": settings.questions,
        "languages": settings.languages,
        "prompts": settings.prompts,
        "temperature": settings.temperature,
        "sampling": settings.sampling,
        "every_s": own["every_s"],
        "span_s": own["span_s"] or own["every_s"],
        "max_lag_s": own["max_lag_s"],
        "alerts": list(own["alerts"]),
        "alert_after": own["alert_after"],
        "on_alert": own["on_alert"],
        "webhook": own["webhook"],
        "output": _output(own),
        "subtitles": own["subtitles"],
        "rotate_s": own["rotate_s"],
        "keep": own["keep"],
        "realtime": own["realtime"],
        "input_options": own["input_options"],
        "wait_s": settings.wait_s,
        "answer_s": settings.timeout_s,
        "on_piece": None if own["as_json"] else on_piece,
    }
    if own["tasks"] is not None:
        options["tasks"] = own["tasks"]
    if settings.hear is not None:
        options["hear"] = settings.hear
    return options


async def _watch(babelview: Babelview, live: Live, screen: LiveScreen) -> int:
    async with babelview, aclosing(live):
        try:
            async for event in live:
                screen.show(event)
        finally:
            if not signals.nobody_reads():
                screen.summary(live.stats, live.reader)
    return DONE


_NAMES = ["tasks", *(option.name or "" for option in (*_CLOCK, *_ALERTS, *_OUTPUT))]
command = Command(
    "live",
    params=[
        click.Argument(["source"], metavar="SOURCE"),
        *_CLOCK,
        *_QUESTIONS,
        *_ALERTS,
        *_OUTPUT,
        *(_BATCH[name] for name in _SHARED),
        *_TIMEOUTS,
    ],
    callback=_callback,
    help=_DESCRIPTION,
    epilog=_EPILOG,
)
