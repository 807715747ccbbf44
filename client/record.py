"""The record of a file, as it is exported: made of what the ledger holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from client.tasks.answers import READERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from client.ledger.rows import StoredAnswer, StoredFile
    from client.tasks.plan import Plan, Request

Record = dict[str, Any]


def texts_of(request: Request, text: str) -> list[str]:
    """The parts of an answer that are translated: each item of a list, or the whole text."""
    return READERS[request.answer](text).parts


def missing_languages(request: Request, answer: StoredAnswer, plan: Plan) -> list[str]:
    """Languages into which an answer has yet to be translated."""
    if not answer.text:
        return []
    count = len(texts_of(request, answer.text))
    return [language for language in plan.languages if _count(answer, language) != count]


def _count(answer: StoredAnswer, language: str) -> int:
    translation = answer.translations.get(language)
    return len(translation.texts) if translation else 0


def make_record(
    name: str, stored: StoredFile, plan: Plan, *, columns: Mapping[str, Any], size: int, problem: str | None
) -> Record:
    """The record of a file of `size` bytes; `columns` are a manifest's, `problem` what a run could not do about it."""
    requests = plan.requests[stored.kind]
    warnings = list(stored.warnings)
    tasks: dict[str, Any] = {}
    for request in requests:
        answer = stored.answers.get(request.key)
        if answer and answer.state == "done":
            tasks[request.key] = _task(request, answer, plan, warnings)
    if not requests:
        warnings.append(f"none of the tasks has a prompt for a file of kind {stored.kind}")
    facts = stored.facts
    record: Record = {
        "file": name,
        **({"manifest": dict(columns)} if columns else {}),
        "kind": stored.kind.value,
        "sha256": stored.sha256,
        "size_mb": round(size / 1e6, 3),
    }
    if facts and facts.frames is not None:
        record |= {"duration_sec": facts.duration_sec, "fps": facts.fps, "frames": facts.frames}
    if facts:
        record |= {"width": facts.width, "height": facts.height}
    return record | {
        "tasks": tasks,
        "total_processing_time_sec": round(stored.spent_s, 3),
        "warnings": warnings,
        "error": problem,
    }


def unread_record(name: str, columns: Mapping[str, Any], problem: str) -> Record:
    """The record of a file that could not even be read."""
    manifest = {"manifest": dict(columns)} if columns else {}
    nothing: Record = {"kind": None, "sha256": None, "size_mb": None, "tasks": {}, "total_processing_time_sec": 0.0}
    return {"file": name, **manifest, **nothing, "warnings": [], "error": problem}


def _task(request: Request, answer: StoredAnswer, plan: Plan, warnings: list[str]) -> dict[str, Any]:
    reading = READERS[request.answer](answer.text)
    if answer.finish_reason == "length":
        warnings.append(f"{request.key}: the answer was cut off at {request.max_tokens} tokens (max_tokens)")
    if not answer.text:
        warnings.append(f"{request.key}: the answer is empty")
    else:
        warnings.extend(f"{request.key}: {warning}" for warning in reading.warnings)
    said: dict[str, Any] = {"question": request.question} if request.question else {}
    # A list stands under its task's own name: {"tags": {"tags": [...], "raw": "..."}}.
    if reading.items is None:
        said |= {"text": answer.text} | reading.facts
    else:
        said |= {request.task: reading.items, "raw": answer.text}
    translations: dict[str, str | list[str]] = {}
    verdicts: dict[str, dict[str, int]] = {}
    for language in plan.languages:
        if translation := answer.translations.get(language):
            translations[language] = translation.texts if reading.items is not None else translation.texts[0]
            verdicts |= {language: translation.verdicts} if translation.verdicts else {}
            doubts = dict.fromkeys(translation.doubts)
            warnings.extend(f"{request.key}: {language}: doubtful translation: {doubt}" for doubt in doubts)
    return said | {
        "translations": translations,
        **({"translation_verdicts": verdicts} if verdicts else {}),
        "generated_tokens": answer.generated_tokens,
        "generation_time_sec": round(answer.request_s, 3),
        "finish_reason": answer.finish_reason,
    }
