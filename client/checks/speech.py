# ruff: noqa: RUF001  (signs of many scripts)
"""What can be seen to be wrong with a transcript: Whisper writes where nobody speaks, and repeats itself.

The lines are those that the films it was trained on end with; they count only where they are all of a segment.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from client.checks.issues import ASKED_AGAIN, DOUBTFUL, OK, RETRIED, Issue, IssueKind
from client.checks.loops import find_loop
from client.checks.review import Reviewed
from client.endpoints.completion import Answer
from client.errors import RequestError

if TYPE_CHECKING:
    from client.endpoints.speech import SpeechClient, Transcribed
    from client.media.content import SoundPiece
    from client.tasks.plan import Request

_OTHER_TEMPERATURE = 0.4
"""Of the second try, as Whisper itself goes up where it repeats itself."""
MOST_CHARACTERS_PER_S = 40.0
"""The fastest speakers say 25; more is text that was not said in that time."""
_SHORTEST_S = 0.5
"""Times are rounded: of less it is not told how fast somebody spoke."""
_UNLIKELY, _SILENT = -1.0, 0.6
"""Mean log probability and share of silence that Whisper itself takes together for silence."""
_MOST_COMPRESSED = 2.4
"""As OpenAI's Whisper has it: text that compresses better repeats itself."""
_SHOWN = 60
_PHANTOM = re.compile(
    r"""
    (?:(?:thank\ you|thanks)(?:\ (?:so|very)\ much)?\ for\ watching (?:\ (?:this|the)\ video)?
    | (?:please\ )?(?:like\ and\ )?(?:don't\ forget\ to\ )?subscribe(?:\ to\ (?:my|the|our)\ channel)?
    | see\ you\ (?:in\ the\ )?next\ (?:time|video|one)
    | (?:subtitles|captions|transcription|translation|subtitled|translated|transcribed)\ (?:made\ )?by\b.*
    | subtitles\ by\ the\ amara\.org\ community
    | (?:www\.|https?://)\S+
    | sous-titr(?:es|age)\b.*\b(?:amara|radio-canada|société|st'\ ?501)\b.*
    | (?:untertitel|untertitelung)\b.*\b(?:zdf|swr|wdr|ndr|amara|funk)\b.*
    | vielen\ dank\ fürs\ zuschauen
    | merci\ d'avoir\ regardé(?:\ cette\ vidéo)?
    | (?:muchas\ )?gracias\ por\ ver(?:\ el\ v[ií]deo)?
    | subt[ií]tulos\ (?:realizados\ )?por\b.*
    | legendas\ pela\ comunidade\b.*
    | sottotitoli\b.*\b(?:amara|qtss)\b.*
    | редактор\ субтитров\b.*
    | продолжение\ следует
    | (?:ご視聴|ご清聴)ありがとうございました
    | 请不吝点赞\b.*
    | 시청해주셔서\ 감사합니다)
    """,
    re.IGNORECASE | re.VERBOSE,
)


async def transcribe_reviewed(
    speech: SpeechClient, request: Request, piece: SoundPiece, label: str, *, once: bool = False
) -> Reviewed:
    """Have a piece of sound transcribed, a second time if the text was not said, unless `once` is enough.

    The other arguments and the errors are those of `SpeechClient.transcribe`.
    """
    first = await speech.transcribe(request, piece, label, request.temperature)
    issues = find_speech_issues(first)
    if once or not any(issue.kind in ASKED_AGAIN for issue in issues):
        return Reviewed(_judged(first, issues, issues), [_judged(first, issues, issues)])
    try:
        second = await speech.transcribe(request, piece, label, max(request.temperature, _OTHER_TEMPERATURE))
    except RequestError:  # what there is stays
        return Reviewed(_judged(first, issues, issues), [_judged(first, issues, issues)])
    remaining = find_speech_issues(second)
    kept, left = (second, remaining) if len(remaining) < len(issues) else (first, issues)
    given = [_judged(first, issues, issues), _judged(second, remaining, remaining)]
    return Reviewed(_judged(kept, left, issues), given)


def _judged(heard: Transcribed, left: list[Issue], first: list[Issue]) -> Answer:
    """The answer with its verdict: the reasons are what is left, or what was wrong with the first one."""
    verdict = DOUBTFUL if left else RETRIED if first else OK
    reasons = tuple(str(issue) for issue in left or first)
    return Answer(heard.text, "stop", 0, heard.tokens, heard.request_s, verdict=verdict, reasons=reasons)


def find_speech_issues(heard: Transcribed) -> list[Issue]:
    """What speaks against the transcript of a piece of sound, the worst first; nothing where it may be right."""
    said, compression = heard.said, heard.compression
    text = " ".join(each.text for each in said)
    issues: list[Issue] = []
    if loop := find_loop(text):
        issues.append(Issue(IssueKind.LOOP, loop))
    elif compression is not None and compression > _MOST_COMPRESSED:
        issues.append(Issue(IssueKind.LOOP, f"the text repeats itself (compression {compression:.1f})"))
    for each in said:
        length_s = each.end_s - each.start_s
        plain = each.text.strip(" .!,…。！♪-[]()").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        if _PHANTOM.fullmatch(plain):
            issues.append(Issue(IssueKind.NOT_SAID, f"{_short(each.text)}, as Whisper writes where nobody speaks"))
        elif length_s >= _SHORTEST_S and len(each.text) / length_s > MOST_CHARACTERS_PER_S:
            shown = f"{_short(each.text)} in {length_s:.1f} s"
            issues.append(Issue(IssueKind.NOT_SAID, f"{shown}, which is faster than anybody speaks"))
    if said and (heard.silence or 0.0) > _SILENT and (heard.log_probability or 0.0) < _UNLIKELY:
        issues.append(Issue(IssueKind.NOT_SAID, f"{_short(text)}: most likely nobody speaks ({heard.silence:.0%})"))
    return issues


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return repr(plain if len(plain) <= _SHOWN else plain[: _SHOWN - 3] + "...")
