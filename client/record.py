"""The record of a file, as it is exported: made of what the ledger holds."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from client import timed_record
from client.checks.issues import DOUBTFUL, VERDICTS
from client.ledger.edits import ENGLISH, edited_fields, edited_reading
from client.media.kinds import Kind
from client.sources.live_photos import LONGEST_S
from client.tasks import structured, transcript
from client.tasks.plan import unknown_scenes, unknown_sound
from client.tasks.readers import reader_of
from client.tasks.steps import WHOLE, OverKind
from client.tasks.units import UnitKind
from client.timed_record import TimedAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from client.ledger.newest import ResultAnswer, Segment, TopicResult
    from client.ledger.results import FileResult, Results
    from client.ledger.rows import StoredAnswer, StoredTranslation
    from client.tasks.answers import Reading
    from client.tasks.plan import Plan, Request, UnitRequest

Record = dict[str, Any]
TakeRecord: TypeAlias = "Callable[[Record], None]"
UNFINISHED = "not finished: run again to go on"
PROMPT_DIGITS = 12
"""Of a prompt's hash, which tell it from others."""


def texts_of(request: Request, text: str) -> list[str]:
    """The parts of an answer that are translated: each item of a list, each text of data, or the whole text."""
    return reader_of(request.answer)(text).parts


def missing_languages(request: Request, answer: StoredAnswer | ResultAnswer, plan: Plan) -> list[str]:
    """Languages into which an answer has yet to be translated."""
    if not answer.text:
        return []
    count = len(texts_of(request, answer.text))
    return [language for language in languages_of(request, answer.text, plan) if _count(answer, language) != count]


def source_of(request: Request, text: str) -> str:
    """The language that an answer is in, a FLORES code: English, but of what was heard."""
    heard = transcript.language_of(text) if request.over.kind is OverKind.AUDIO else None
    return heard or ENGLISH


def languages_of(request: Request, text: str, plan: Plan) -> list[str]:
    """The languages that an answer is translated into: what was heard in another one than English, into that too."""
    if not request.translated:
        return []
    if request.over.kind is not OverKind.AUDIO or not plan.languages:
        return list(plan.languages)
    source = source_of(request, text)
    return [language for language in dict.fromkeys((*plan.languages, ENGLISH)) if language != source]


def _count(answer: StoredAnswer | ResultAnswer, language: str) -> int:
    translation = answer.translations.get(language)
    return len(translation.texts) if translation else 0


def records(results: Results) -> Iterator[Record]:
    """A record for each source that the results are about; one that its run has not finished says so.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    for file in results.files():
        yield record_of(file, results)


def record_of(file: FileResult, results: Results) -> Record:
    """The record of one of the results' files.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    warnings = list(file.warnings)
    duration_s = (file.facts and file.facts.duration_sec) or 0.0
    tasks = {result.topic.key: _task(result, duration_s, warnings) for result in file.topics}
    plan = results.plan_of(file.run)
    if plan and file.kind and not plan.requests[file.kind] and not tasks:
        warnings.append(f"none of the tasks has a prompt for a file of kind {file.kind}")
    record: Record = {"file": file.name, **({"manifest": file.columns} if file.columns else {})}
    if file.gone:
        record["gone"] = True
    read = bool(file.sha256 and file.kind)
    record |= {
        "kind": file.kind.value if file.kind and read else None,
        "sha256": file.sha256 if read else None,
        "size_mb": round(file.size / 1e6, 3) if file.size is not None and read else None,
    }
    if file.facts:
        if file.kind is Kind.AUDIO:
            record["duration_sec"] = file.facts.duration_sec
        elif file.facts.frames is not None:
            record |= {
                "duration_sec": file.facts.duration_sec,
                "fps": file.facts.fps,
                "frames": file.facts.frames,
            }
        if file.kind is not Kind.AUDIO:
            record |= {"width": file.facts.width, "height": file.facts.height}
        if file.live_photo_of and file.facts.duration_sec is not None and file.facts.duration_sec <= LONGEST_S:
            record["live_photo_of"] = file.live_photo_of
    if file.review:
        record["review"] = file.review._asdict()
    return record | {
        "tasks": tasks,
        "total_processing_time_sec": round(file.spent_s, 3),
        "warnings": warnings,
        "error": _error(file, plan, results),
    }


def _error(file: FileResult, plan: Plan | None, results: Results) -> str | None:
    """What a file lacks of what it was asked, and why."""
    if file.finished and (file.problem or results.only_run):
        return file.problem
    if not file.finished:
        if file.error:
            return file.error
        if not file.sha256 or _is_unfinished(file, plan, results):
            return UNFINISHED
    failures = (
        f"{topic.label}: {failure.error} (in an earlier run{'; --redo failed tries again' if failure.final else ''})"
        for topic, failure in file.failures
    )
    return file.error or "; ".join(failures) or None


def _is_unfinished(file: FileResult, plan: Plan | None, results: Results) -> bool:
    """Whether an answer or a translation is missing that the last run which named it asks for."""
    if plan is None or file.kind is None:
        return True
    requests = plan.requests[file.kind]
    if not {request.identity for request in requests} <= file.answered:
        return True
    # Most often what stands in the record is what this run asks for, and need not be read again.
    shown = {it.whole.identity: it.whole for it in file.topics if it.whole}
    if all(request.over == WHOLE and request.identity in shown for request in requests):
        return any(missing_languages(request, shown[request.identity], plan) for request in requests)
    stored = results.stored(file, requests)
    # It takes a probe, or a look at the video, to know what is to be asked.
    unknown = unknown_scenes(requests, file.kind, stored.probe) or unknown_sound(requests, stored.probe)
    if (requests and not stored.asks) or unknown:
        return True
    return any(_lacks(ask, stored.answers.get(ask.key), plan) for ask in stored.asks)


def _lacks(ask: UnitRequest, answer: StoredAnswer | None, plan: Plan) -> bool:
    if answer is None or answer.state != "done":
        return True
    return ask.unit.kind is not UnitKind.DIGEST and bool(missing_languages(ask.request, answer, plan))


def _task(result: TopicResult, duration_s: float, warnings: list[str]) -> dict[str, Any]:
    """What stands under the key of a topic; warnings about it are added to the others."""
    key, answers = result.topic.key, result.answers()
    newest = max(answers, key=lambda answer: answer.updated) if len(answers) > 1 else answers[0]
    said: dict[str, Any] = {"question": result.topic.question} if result.topic.question else {}
    translations: dict[str, Any] = {}
    verdicts: dict[str, dict[str, int]] = {}
    segments: list[dict[str, Any]] | None = None
    if result.whole:
        own = _read(key, result.whole, warnings)
        reading = edited_reading(own, result.whole)
        said |= said_of(result.topic.task, reading)
        for language, translation in result.whole.translations.items():
            if words := result.whole.edits.get(language, translation.texts):
                translations[language] = translation_of(own, words)
            if counts := _verdicts(key, language, translation, warnings):
                verdicts[language] = counts
        if reading.schema is not None:
            windows = [(part.start_us / 1e6, part.end_us / 1e6) for part in result.segments]
            texts = {language: translation.texts for language, translation in result.whole.translations.items()}
            about_whole = TimedAnswer((0.0, duration_s), reading, texts, {}, own)
            segments = timed_record.of_whole(about_whole, windows)
            if segments is not None and (warning := timed_record.left_out(about_whole, segments)):
                warnings.append(f"{key}: {warning}")
        said |= edited_fields(result.whole)
    parts = (_segments(key, part, warnings) for part in result.segments)
    for part in result.segments:
        for language, translation in part.answer.translations.items():
            if translation.verdicts or translation.doubts:
                verdicts[language] = dict(Counter(verdicts.get(language, {})) + Counter(_counts(translation)))
    found = [each for some in parts for each in some]
    if segments is not None or result.segments:  # also where nothing is said in any part
        said["segments"] = found if segments is None else segments
    judged = [_judged(answer) for answer in answers]
    reasons = list(dict.fromkeys(reason for found in judged for reason in found["reasons"]))
    thoughts = "\n\n".join(answer.reasoning for answer in answers if answer.reasoning)
    return said | {
        "verdict": worst_verdict({found["verdict"]: 1 for found in judged if found["verdict"]}),
        **({"reasons": reasons} if reasons else {}),
        **({"reasoning": thoughts} if thoughts else {}),
        **({"heard": True} if any(_heard(answer.params) for answer in answers) else {}),
        "translations": translations,
        **({"translation_verdicts": verdicts} if verdicts else {}),
        "generated_tokens": sum(answer.generated_tokens for answer in answers),
        "request_time_sec": round(sum(answer.request_s for answer in answers), 3),
        "tokens_per_sec": _tokens_per_sec(answers),
        "finish_reason": newest.finish_reason,
        "model": newest.model,
        "prompt": newest.prompt_hash[:PROMPT_DIGITS],
        "answered_at": _when(int(newest.updated)),
    }


def said_of(task: str, reading: Reading) -> dict[str, Any]:
    """What stands in the record of an answer about the whole."""
    if reading.data is not None:
        return {"data": reading.data, "raw": reading.text}
    if reading.items is None:
        return {"text": reading.text} | reading.facts
    # A list stands under its task's own name: {"tags": {"tags": [...], "raw": "..."}}.
    order = {} if reading.original_order is None else {"original_order": reading.original_order}
    return {task: reading.items, "raw": reading.text} | order


def translation_of(reading: Reading, texts: list[str]) -> Any:
    """The same in another language: a text, a list, or data with other texts."""
    if reading.data is not None:
        return structured.with_texts(reading.schema or "", reading.data, texts)
    return texts if reading.items is not None else texts[0]


def _read(label: str, answer: ResultAnswer, warnings: list[str]) -> Reading:
    reading = reader_of(answer.reader)(answer.text)
    if answer.finish_reason == "length":
        warnings.append(f"{label}: the answer was cut off at {_max_tokens(answer.params)} tokens (max_tokens)")
    if not answer.text:
        warnings.append(f"{label}: the answer is empty")
    else:
        warnings.extend(f"{label}: {warning}" for warning in reading.warnings)
    warnings.extend(
        f"{label}: {language}: it was changed by hand and answered anew since: the new answer stands"
        for language in answer.outdated_edits
    )
    if answer.verdict == DOUBTFUL:
        warnings.extend(f"{label}: doubtful answer: {reason}" for reason in _judged(answer)["reasons"])
    return reading


def _judged(answer: ResultAnswer) -> dict[str, Any]:
    """The verdict on an answer, and the reasons."""
    return {"verdict": answer.verdict, "reasons": orjson.loads(answer.reasons) if answer.reasons else []}


def _segments(key: str, segment: Segment, warnings: list[str]) -> Iterator[dict[str, Any]]:
    """What stands in the record of an answer about a part of the time."""
    start, end = segment.start_us / 1e6, segment.end_us / 1e6
    label = f"{key}, {start:.3f}-{end:.3f} s"
    own = _read(label, segment.answer, warnings)
    texts = {language: translation.texts for language, translation in segment.answer.translations.items()}
    texts |= {language: edit for language, edit in segment.answer.edits.items() if language in texts}
    for language, translation in segment.answer.translations.items():
        _verdicts(label, language, translation, warnings)
    judged = {name: value for name, value in _judged(segment.answer).items() if value != []}
    judged |= edited_fields(segment.answer)
    answer = TimedAnswer((start, end), edited_reading(own, segment.answer), texts, judged, own)
    segments = list(timed_record.of_window(answer))
    if warning := timed_record.left_out(answer, segments):
        warnings.append(f"{label}: {warning}")
    yield from segments


def _verdicts(label: str, language: str, translation: StoredTranslation, warnings: list[str]) -> dict[str, int]:
    """How many sentences are `ok`, `retried`, `doubtful`; the reasons to doubt are warnings."""
    doubts = dict.fromkeys(translation.doubts)
    warnings.extend(f"{label}: {language}: doubtful translation: {doubt}" for doubt in doubts)
    return _counts(translation)


def _counts(translation: StoredTranslation) -> dict[str, int]:
    if translation.verdicts or not translation.doubts:
        return translation.verdicts
    return {DOUBTFUL: len(translation.doubts)}  # old ledgers have the reasons alone


def worst_verdict(counts: dict[str, int] | None) -> str | None:
    """The verdict on a text as a whole, of those on its sentences; None if the translator gave none."""
    return next((verdict for verdict in reversed(VERDICTS) if counts and counts.get(verdict)), None)


def _tokens_per_sec(answers: list[ResultAnswer]) -> float | None:
    """As the server told it: of several answers, of all their tokens; None if it did not tell it of each."""
    seconds = 0.0
    for answer in answers:
        if not answer.tokens_per_s:
            return None
        seconds += answer.generated_tokens / answer.tokens_per_s
    tokens = sum(answer.generated_tokens for answer in answers)
    return round(tokens / seconds, 1) if seconds else None


@cache
def _heard(params: str) -> bool:
    return "heard" in orjson.loads(params)


@cache
def _max_tokens(params: str) -> int | None:
    found: int | None = orjson.loads(params).get("max_tokens")
    return found


@lru_cache(1024)
def _when(seconds: int) -> str:
    """ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
