"""Ledgers and media for reports: what a batch leaves, with all that the page can show, and hostile texts."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from ledgers import plan_of
from PIL import Image, ImageColor

from client.endpoints.completion import Answer
from client.ledger.events import (
    AnswerStored,
    Event,
    MediaLoaded,
    RequestFailed,
    RunEnded,
    SourceCompleted,
    TranslationsStored,
    UriSeen,
)
from client.ledger.ledger import Ledger
from client.ledger.rows import StoredTranslation
from client.media.content import Content, Facts, Frame, Span
from client.media.kinds import Kind
from client.media.load import Identity
from client.media.thumbnail_folder import Thumbnails
from client.media.thumbnails import picture_thumbnail, with_thumbnail
from client.sources.source import KnownSource, Source
from client.tasks.plan import UnitRequest
from client.tasks.steps import OverKind
from client.tasks.units import merged, whole, window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from client.media.strips import Thumbnail
    from client.tasks.plan import Plan, Request

ATTACK = (
    '<img src=x onerror="window.attacked=1"><script>window.attacked=1</script></script>'
    "\N{LINE SEPARATOR}' \\ javascript:window.attacked=1"
)
FACTS = Facts(640, 360)
Said = dict[str, list[str]]
"""By language, the translations of an answer's parts."""


@dataclass
class Shown:
    """A file, and what was said about it."""

    name: str
    kind: Kind = Kind.IMAGE
    facts: Facts = FACTS
    answers: dict[str, tuple[str, Said]] = field(default_factory=dict)
    """By task: the answer and its translations."""
    doubts: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """By task and language."""
    verdicts: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    windows: dict[str, list[tuple[float, float, str, dict[str, str]]]] = field(default_factory=dict)
    """By task: start, end, text, and its translations."""
    merges: dict[str, tuple[str, Said]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    thumbnail: Thumbnail | None = None
    columns: dict[str, object] = field(default_factory=dict)


@cache
def jpeg_of(hue: int, size: tuple[int, int] = (640, 360)) -> bytes:
    """A JPEG in one colour with a lighter square in it."""
    picture = Image.new("RGB", size, ImageColor.getrgb(f"hsl({hue % 360}, 55%, 50%)"))
    picture.paste(ImageColor.getrgb(f"hsl({(hue + 90) % 360}, 40%, 85%)"), (40, 40, size[0] // 2, size[1] // 2))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return file.getvalue()


@cache
def thumbnail_of(hue: int, size: tuple[int, int] = (320, 180)) -> Thumbnail:
    """The thumbnail of such a picture."""
    return picture_thumbnail(Image.open(io.BytesIO(jpeg_of(hue, size))))


def strip_of(hues: Iterable[int], duration_s: float) -> Thumbnail:
    """The thumbnail of a video with a frame of each colour."""
    hues = list(hues)
    frames = [Frame(int(1e6 * duration_s * number / len(hues)), jpeg_of(hue)) for number, hue in enumerate(hues)]
    (content,) = with_thumbnail([Content(Kind.VIDEO, Facts(640, 360, duration_s), frames)], 1)
    assert content.thumbnail
    return content.thumbnail


def write_shown(
    output: Path, files: Sequence[Shown], tasks: Sequence[str], languages: tuple[str, ...], *, question: str = ""
) -> None:
    """A finished run about these files. Where a file is there, its content is what it says; else its name."""
    plan = plan_of(tasks, languages, question)
    ledger, thumbnails = Ledger(output), Thumbnails(output)
    sources = [
        Source(it.name, it.name, "://" in it.name, columns=it.columns, position=at) for at, it in enumerate(files)
    ]
    ledger.begin_run(plan, sources)
    ledger.apply(RunEnded({"files": len(files), "models": {"image": "looks", "video": "watches"}}))
    for source, shown in zip(sources, files, strict=True):
        data = source.path.read_bytes() if source.path.is_file() else shown.name.encode(errors="surrogateescape")
        identity = Identity(hashlib.sha256(data).hexdigest(), shown.kind, None)
        if shown.thumbnail:
            thumbnails.keep({identity.sha256: shown.thumbnail})
        ledger.write(
            [
                UriSeen(source.uri, KnownSource("s", len(data), identity)),
                MediaLoaded(identity, 0.25, shown.facts, ()),
                *_said(plan, identity, shown),
                SourceCompleted(source.position, identity.sha256, "; ".join(shown.failures.values()) or None),
            ]
        )
    thumbnails.close()
    ledger.close()


def _said(plan: Plan, identity: Identity, shown: Shown) -> list[Event]:
    events: list[Event] = []
    for request in plan.requests[identity.kind]:
        kind, key = request.over.kind, request.key
        if kind is OverKind.WHOLE and key in shown.answers:
            text, translations = shown.answers[key]
            events += _stored(UnitRequest(whole(identity.sha256), request), text, translations, shown)
        elif kind is OverKind.WHOLE and key in shown.failures:
            events.append(RequestFailed(UnitRequest(whole(identity.sha256), request), shown.failures[key], final=True))
        elif kind is OverKind.WINDOWS:
            for start, end, text, by_language in shown.windows.get(key, ()):
                events += _stored(
                    _ask(identity, request, start, end), text, {k: [v] for k, v in by_language.items()}, shown
                )
        elif kind is OverKind.MERGE and key in shown.merges:
            step = next(it for it in plan.requests[identity.kind] if (it.key, it.step) == (key, request.over.step))
            inputs = [(_ask(identity, step, start, end).unit, text) for start, end, text, _ in shown.windows[key]]
            text, translations = shown.merges[key]
            events += _stored(UnitRequest(merged(identity.sha256, inputs), request), text, translations, shown)
    return events


def _ask(identity: Identity, request: Request, start: float, end: float) -> UnitRequest:
    return UnitRequest(window(identity.sha256, Span(int(start * 1e6), int(end * 1e6))), request)


def _stored(ask: UnitRequest, text: str, translations: Said, shown: Shown) -> list[Event]:
    key = ask.request.key
    verdict, reasons = shown.verdicts.get(key, ("ok", []))
    answer = Answer(text, "stop", 100, len(text.split()) + 2, 0.8, verdict=verdict, reasons=tuple(reasons))
    stored = {
        code: StoredTranslation(
            texts,
            doubts := shown.doubts.get((key, code), []),
            {"ok": max(0, len(texts) - len(doubts)), **({"doubtful": len(doubts)} if doubts else {})},
        )
        for code, texts in translations.items()
    }
    return [AnswerStored(ask, answer), *([TranslationsStored(ask, stored)] if stored else [])]


def many(count: int, languages: tuple[str, ...] = ("spa_Latn", "hin_Deva", "zho_Hans")) -> list[Shown]:
    """So many files with texts of about 100 words, and thumbnails."""
    rng = np.random.default_rng(5)
    said = {
        "eng_Latn": "a the red car drives along beach sunset people smile brand logo shows bright city street night",
        "spa_Latn": "un el coche rojo pasa por la playa gente sonríe marca logotipo brillante ciudad calle noche",
        "hin_Deva": "एक लाल कार समुद्र तट के साथ चलती है लोग मुस्कुराते ब्रांड शहर सड़क रात भारत",
        "zho_Hans": "一辆 红色 汽车 沿着 海滩 行驶 人们 微笑 品牌 标志 明亮 城市 街道 夜晚 中国",
    }
    words = {code: text.split() for code, text in said.items()}
    labels, thumbnails = ("Positive.", "Negative.", "Neutral."), [strip_of(range(h, h + 160, 20), 8.0) for h in (0, 90)]
    stills = [thumbnail_of(hue) for hue in range(0, 360, 24)]

    def text(code: str) -> str:
        between = "" if code == "zho_Hans" else " "
        return between.join(rng.choice(words[code], 100)) + "."

    files = []
    for number in range(count):
        video = number % 4 == 0
        tags = sorted({str(word) for word in rng.choice(words["eng_Latn"][2:], 5)})
        files.append(
            Shown(
                f"/ads/campaign {number % 7}/file-{number:05}.{'mp4' if video else 'jpg'}",
                Kind.VIDEO if video else Kind.IMAGE,
                Facts(1280, 720, 5.0 + number % 90, 25.0, 200) if video else Facts(1280, 720),
                answers={
                    "describe": (text("eng_Latn"), {code: [text(code)] for code in languages}),
                    "tags": (json.dumps(tags), {}),
                    "sentiment": (labels[number % 3], {}),
                },
                verdicts={"describe": ("doubtful", ["it repeats itself"])} if number % 50 == 0 else {},
                thumbnail=thumbnails[number % 2] if video else stills[number % len(stills)],
            )
        )
    return files
