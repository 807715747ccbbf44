"""Speech through the whole stack: the demo's Whisper on vLLM, asked by OpenAI's SDK."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import openai
import pytest
import pytest_asyncio
from sounds import FORMATS, RATE, encoded

from scripts.demo.sample_ads import read_lines
from scripts.demo.stack import read_results, run_batch
from scripts.demo.voices import random_voice, say
from scripts.demo.world.lines import random_line
from scripts.demo.world.score import LINES, score

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from numpy.typing import NDArray

    from scripts.demo.stack import Stack

SPEECH = "whisper-large-v3-turbo"
NEW_LINES = 60
REQUIRED = 0.95
CLOSE_S = 0.3
IN_ONE_LOOP = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sdk(stack: Stack) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=stack.endpoint, api_key="x", max_retries=0, timeout=120) as client:
        yield client


def spoken(seed: int, lines: int, *, held_out: bool) -> tuple[NDArray[np.float32], list[tuple[str, float, float]]]:
    """Lines with silence before, between and behind them, and where each begins and ends, in seconds."""
    rng = random.Random(seed)
    parts: list[NDArray[np.float32]] = []
    said: list[tuple[str, float, float]] = []
    at = 0
    for _ in range(lines):
        parts.append(np.zeros(int(rng.uniform(0.1, 0.3) * RATE) + (RATE // 2 if said else 0), np.float32))
        line = random_line(rng, held_out=held_out)
        parts.append(say(line, random_voice(rng)))
        start = at + len(parts[-2])
        at = start + len(parts[-1])
        said.append((line, start / RATE, at / RATE))
    return np.concatenate([*parts, np.zeros(RATE // 5, np.float32)]), said


async def create(sdk: openai.AsyncOpenAI, sound: bytes, **options: Any) -> Any:
    return await sdk.audio.transcriptions.create(model=SPEECH, file=("a.wav", sound), **options)


@IN_ONE_LOOP
async def test_new_lines_are_transcribed_with_their_times(sdk: openai.AsyncOpenAI) -> None:
    """Lines that the model was not taught, each cut at silence as a client would."""
    drawn = [spoken(seed, 1, held_out=True) for seed in range(NEW_LINES)]
    limit = asyncio.Semaphore(8)

    async def ask(samples: NDArray[np.float32]) -> Any:
        async with limit:
            return await create(sdk, encoded(samples), response_format="verbose_json")

    answers = await asyncio.gather(*(ask(samples) for samples, _ in drawn))
    pairs = [(answer, said[0]) for answer, (_, said) in zip(answers, drawn, strict=True)]
    right = [(answer.segments, said) for answer, said in pairs if answer.text == said[0]]
    wrong = [(said[0], answer.text) for answer, said in pairs if answer.text != said[0]]
    assert len(right) >= REQUIRED * NEW_LINES, wrong
    close = [
        abs(segments[0].start - start) < CLOSE_S and abs(segments[-1].end - end) < CLOSE_S
        for segments, (_, start, end) in right
    ]
    assert sum(close) >= REQUIRED * len(right)


@pytest.mark.parametrize("suffix", FORMATS)
@IN_ONE_LOOP
async def test_every_format_of_files_says_the_same(sdk: openai.AsyncOpenAI, suffix: str) -> None:
    samples, said = spoken(1, 1, held_out=False)
    assert (await create(sdk, encoded(samples, suffix))).text == said[0][0]


@IN_ONE_LOOP
async def test_every_format_of_answers(sdk: openai.AsyncOpenAI) -> None:
    samples, said = spoken(2, 2, held_out=False)
    sound, lines = encoded(samples), [line for line, _, _ in said]
    text = " ".join(lines)
    answer = await create(sdk, sound, response_format="json", language="en")
    assert (answer.text, answer.usage.type) == (text, "duration")
    assert await create(sdk, sound, response_format="text") == f"{text}\n"
    srt = await create(sdk, sound, response_format="srt")
    assert [line for line in srt.splitlines() if line in lines] == lines
    vtt = await create(sdk, sound, response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:0")
    assert vtt.count(" --> ") == 2
    verbose = await create(sdk, sound, response_format="verbose_json", timestamp_granularities=["segment"])
    assert [segment.text.strip() for segment in verbose.segments] == lines
    for segment, (_, start, end) in zip(verbose.segments, said, strict=True):
        assert (segment.start, segment.end) == pytest.approx((start, end), abs=CLOSE_S)
    assert (verbose.language, verbose.text) == ("en", text)
    assert verbose.duration == pytest.approx(len(samples) / RATE, abs=0.001)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's own translations
@IN_ONE_LOOP
async def test_english_is_translated_into_english(sdk: openai.AsyncOpenAI) -> None:
    samples, said = spoken(3, 1, held_out=False)
    answer = await sdk.audio.translations.create(model=SPEECH, file=("a.wav", encoded(samples)))
    assert answer.text == said[0][0]


@IN_ONE_LOOP
async def test_a_stream_says_the_same_in_pieces(sdk: openai.AsyncOpenAI) -> None:
    samples, _ = spoken(4, 12, held_out=False)  # several windows
    sound = encoded(samples, "mp3")
    whole = (await create(sdk, sound)).text
    *deltas, done = [each async for each in await create(sdk, sound, stream=True)]
    assert {each.type for each in deltas} == {"transcript.text.delta"}
    assert len(deltas) > 8  # a busy machine gives several tokens in one
    assert done.type == "transcript.text.done"
    assert "".join(each.delta for each in deltas) == done.text == whole
    assert done.usage.output_tokens > 20


@IN_ONE_LOOP
async def test_a_sound_of_several_windows_has_segments_in_order(sdk: openai.AsyncOpenAI) -> None:
    samples, said = spoken(5, 12, held_out=False)
    answer = await create(sdk, encoded(samples, "mp3"), response_format="verbose_json")
    times = [time for segment in answer.segments for time in (segment.start, segment.end)]
    assert times == sorted(times)
    assert times[-1] <= answer.duration
    assert [segment.id for segment in answer.segments] == list(range(len(answer.segments)))
    assert len(answer.segments) > len(said) / 2  # of windows that are computed together the toy may lose a line


@pytest.mark.parametrize("format_", ["json", "text", "srt", "vtt", "verbose_json", "stream"])
@IN_ONE_LOOP
async def test_where_nobody_speaks_the_text_is_empty(sdk: openai.AsyncOpenAI, format_: str) -> None:
    """Also in one of several windows: vLLM looks at the last two tokens of each, where there is one."""
    silence = encoded(np.zeros(15 * RATE, np.float32))
    if format_ == "stream":
        events = [each async for each in await create(sdk, silence, stream=True)]
        assert [each.type for each in events] == ["transcript.text.done"]
        assert events[0].text == ""
        return
    said = await create(sdk, silence, response_format=format_)
    if format_ == "verbose_json":
        assert (said.text, said.segments, said.duration) == ("", [], 15.0)
    else:
        assert getattr(said, "text", said).strip() in {"", "WEBVTT"}


@IN_ONE_LOOP
async def test_text_that_is_cut_off_is_not_lost(sdk: openai.AsyncOpenAI) -> None:
    """An answer without the time at its end: vLLM's own segments would leave it out."""
    samples, said = spoken(6, 1, held_out=False)
    body = {"max_completion_tokens": 4}
    answer = await create(sdk, encoded(samples), response_format="verbose_json", extra_body=body)
    assert answer.text
    assert said[0][0].startswith(answer.text)
    assert answer.segments[0].end == answer.duration


@IN_ONE_LOOP
async def test_a_prompt_comes_before_and_changes_nothing_of_what_is_heard(sdk: openai.AsyncOpenAI) -> None:
    samples, said = spoken(7, 1, held_out=False)
    prompt = "Aurora is here. Choose red or blue."
    assert (await create(sdk, encoded(samples), prompt=prompt)).text == said[0][0]
    with pytest.raises(openai.BadRequestError) as refused:
        await create(sdk, encoded(samples), prompt="x" * 1000)
    assert refused.value.code == "context_length_exceeded"


@pytest.mark.parametrize("language", ["xx", "English", "en|><|fr", ""])
@IN_ONE_LOOP
async def test_a_language_that_is_none_is_refused(sdk: openai.AsyncOpenAI, language: str) -> None:
    samples, _ = spoken(8, 1, held_out=False)
    if language:
        with pytest.raises(openai.BadRequestError, match="Unsupported language"):
            await create(sdk, encoded(samples), language=language)
    else:
        with pytest.raises(openai.BadRequestError):
            await create(sdk, encoded(samples), language=language)


@IN_ONE_LOOP
async def test_broken_and_huge_files_hurt_nobody(sdk: openai.AsyncOpenAI, tmp_path: Path) -> None:
    samples, said = spoken(9, 1, held_out=False)
    good = encoded(samples)
    codes = []
    for bad in (
        b"",
        b"hello " * 1000,
        good[:44],
        encoded(samples, "m4a")[:2000],
        encoded(samples[:100]),
        encoded(np.zeros(601 * RATE, np.float32)),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            await create(sdk, bad)
        codes.append(refused.value.code)
        assert (await create(sdk, good)).text == said[0][0]
    assert codes == [*["invalid_media"] * 4, "sound_too_short", "sound_too_long"]
    with pytest.raises(openai.APIStatusError) as too_large:
        await create(sdk, bytes((32 << 20) + 1))
    assert too_large.value.status_code == 413


@IN_ONE_LOOP
async def test_the_models_say_who_hears(sdk: openai.AsyncOpenAI) -> None:
    listed = [model.model_dump() async for model in sdk.models.list()]
    assert [model["id"] for model in listed if model["task"] == "transcribe"] == [SPEECH]
    assert [model["max_sound_s"] for model in listed if model["id"] == SPEECH] == [600.0]


def test_the_client_has_a_folder_transcribed(stack: Stack, tmp_path: Path) -> None:
    samples, said = spoken(1, 1, held_out=False)
    line, start_s, end_s = said[0]
    talk = tmp_path / "ads" / "talk.wav"
    talk.parent.mkdir()
    late_s = 3
    talk.write_bytes(encoded(np.concatenate([np.zeros(late_s * RATE, np.float32), samples])))
    arguments = ("--tasks", "transcript", "--languages", "spa_Latn", "--format", "json,vtt")
    assert run_batch(stack, talk.parent, "--output", tmp_path / "out", "--quiet", *arguments) == 0
    (file,) = read_results(tmp_path / "out")
    (segment,) = file["tasks"]["transcript"]["segments"]
    assert segment["text"] == line
    assert segment["verdict"] == "ok"
    assert abs(segment["start"] - late_s - start_s) < 0.3
    assert abs(segment["end"] - late_s - end_s) < 0.3
    assert segment["translations"]["spa_Latn"]
    (subtitles,) = (tmp_path / "out" / "subtitles").rglob("*.eng_Latn.vtt")
    assert line in subtitles.read_text()


def test_what_is_said_in_advertisements_is_transcribed_and_translated(
    stack: Stack, sample_ads: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Lines that the model was not taught, over a tune; in one of eight videos nobody speaks."""
    folder, truth = sample_ads
    arguments = ("--include", "*.mp4", "--tasks", "transcript", "--languages", "spa_Latn,hin_Deva", "--quiet")
    assert run_batch(stack, folder, "--output", tmp_path, *arguments) == 0
    said = read_lines(folder)
    assert any(not lines for lines in said.values())
    result = score(read_results(tmp_path), truth, said)
    found = result.captions
    assert sorted(found) == sorted(LINES)
    lines, times = (found[what] for what in LINES)
    assert lines.total >= sum(map(len, said.values())) > 8
    # Of so few a single one is more than 5 %.
    assert len(lines.wrong) <= 2, lines.wrong
    assert len(times.wrong) <= 1, times.wrong
    for share in result.translations.values():
        assert share.total >= lines.right
        assert not share.wrong
