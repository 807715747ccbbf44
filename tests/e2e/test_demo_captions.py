"""From files to translated captions through the real stack, and proof that pixels matter."""

from __future__ import annotations

import base64
import io
import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import openai
import pytest
import torch
from PIL import Image
from transformers import LlavaNextVideoForConditionalGeneration, LlavaNextVideoProcessor

from scripts.demo.evaluate import evaluate_heard
from scripts.demo.models.conversation import shipped_prompt
from scripts.demo.stack import ROOT, Stack, read_results, run_batch
from scripts.demo.world.draw import draw_scene, random_style
from scripts.demo.world.scenes import Clip, ad, describe, random_clip, sentiment, tags
from scripts.demo.world.score import FOLLOWS, TASKS, score
from scripts.demo.world.translations import translate_text

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "llava-next-video-7b"
DESCRIBE = shipped_prompt("describe", "video")


def clip_frames(clip: Clip, rng: random.Random) -> list[bytes]:
    """The eight moments of a clip as JPEG."""
    style = random_style(rng)
    frames = []
    for moment, scene in enumerate(clip.seen):
        buffer = io.BytesIO()
        Image.fromarray(draw_scene(scene, style, 320, 180, phase=moment / 7)).save(buffer, "JPEG", quality=90)
        frames.append(buffer.getvalue())
    return frames


def caption(stack: Stack, frames: list[bytes], prompt: str = DESCRIBE) -> str:
    """What the served model says, over the official SDK."""
    url = "data:video/jpeg;base64," + ",".join(base64.b64encode(frame).decode() for frame in frames)
    content = [{"type": "video_url", "video_url": {"url": url}}, {"type": "text", "text": prompt}]
    with openai.OpenAI(base_url=stack.endpoint, api_key="none") as sdk:
        answer = sdk.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": content}],  # type: ignore[list-item]
            temperature=0,
            max_tokens=200,
        )
    return (answer.choices[0].message.content or "").strip()


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Clips of three or four scenes."""
    rng = random.Random(23)
    drawn = [random_clip(rng) for _ in range(60)]
    return [clip for clip in drawn if len(clip.scenes) >= 3][:10]


def test_a_folder_becomes_exact_captions_in_four_languages(
    stack: Stack, sample_ads: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, truth = sample_ads
    code = run_batch(stack, folder, "--output", tmp_path, "--tasks", ",".join(TASKS), "--no-hear", "--quiet")
    assert code == 0
    report = json.loads((tmp_path / "results.json").read_text())
    assert len(report["files"]) == len(truth)
    assert report["stats"]["failures"] == 0
    for record in report["files"]:
        assert record["kind"] == ("video" if record["file"].endswith(".mp4") else "image")
        assert record["error"] is None
        assert set(record["tasks"]) == set(TASKS)
        for answer in record["tasks"].values():
            assert set(answer["translations"]) == {"spa_Latn", "fra_Latn", "hin_Deva"}
            assert answer["finish_reason"] == "stop"
    result = score(report["files"], truth)
    assert result.caption_share >= 0.95, [line for share in result.captions.values() for line in share.wrong]
    assert result.translation_share >= 0.99, [line for share in result.translations.values() for line in share.wrong]


def test_a_second_run_asks_nothing_again(stack: Stack, sample_ads: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = sample_ads
    files = sorted(folder.glob("*.mp4"))[:2]
    assert run_batch(stack, *files, "--output", tmp_path, "--quiet", "--no-hear") == 0
    first = read_results(tmp_path)
    nobody = Stack("http://127.0.0.1:9/v1", stack.translator, 0)
    assert run_batch(nobody, *files, "--output", tmp_path, "--quiet", "--wait", "1") == 0
    assert [record["tasks"] for record in read_results(tmp_path)] == [record["tasks"] for record in first]


def test_a_broken_file_fails_alone(stack: Stack, sample_ads: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, truth = sample_ads
    good = min(folder.glob("*.mp4"))
    ads = tmp_path / "ads"
    ads.mkdir()
    (ads / good.name).write_bytes(good.read_bytes())
    (ads / "page.mp4").write_text("<html>not found</html>")
    (ads / "empty.mp4").touch()
    assert run_batch(stack, ads, "--output", tmp_path / "out", "--quiet", "--no-hear") == 1
    records = {record["file"].rsplit("/", 1)[-1]: record for record in read_results(tmp_path / "out")}
    assert records["page.mp4"]["error"]
    assert records["empty.mp4"]["error"]
    assert records[good.name]["tasks"]["describe"]["text"] == describe(truth[good.name])


def test_the_order_of_frames_is_what_is_told(stack: Stack, clips: list[Clip]) -> None:
    rng = random.Random(1)
    shown = [clip_frames(clip, rng) for clip in clips]
    with ThreadPoolExecutor(8) as pool:
        forwards = pool.map(lambda frames: caption(stack, frames), shown)
        backward = pool.map(lambda frames: caption(stack, frames[::-1]), shown)
        answers = list(zip(clips, forwards, backward, strict=True))
    right = 0
    for clip, told, told_backwards in answers:
        backwards = Clip.from_moments(clip.seen[::-1])
        assert told != told_backwards
        right += (told == describe(clip)) + (told_backwards == describe(backwards))
    assert right >= 0.95 * 2 * len(clips)


def test_a_frame_in_the_place_of_another_changes_the_caption(stack: Stack, clips: list[Clip]) -> None:
    """The first scene's frames replaced by the second's: as if the sampler had missed the beginning."""
    rng = random.Random(2)
    for clip in clips[:5]:
        frames = clip_frames(clip, rng)
        first = clip.moments[0]
        seen = [clip.scenes[1]] * first + clip.seen[first:]
        told = caption(stack, [frames[first]] * first + frames[first:])
        assert told != describe(clip)
        assert told == describe(Clip.from_moments(seen))


def test_left_is_left(stack: Stack, clips: list[Clip]) -> None:
    clip = clips[0]
    mirrored = Clip(tuple(type(s)(s.right, s.left) for s in clip.scenes), clip.moments)
    frames = clip_frames(clip, random.Random(3))
    flipped = []
    for frame in frames:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(frame)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(buffer, "JPEG", quality=90)
        flipped.append(buffer.getvalue())
    assert caption(stack, frames) == describe(clip)
    assert caption(stack, flipped) == describe(mirrored)


def test_tags_sentiment_and_questions(stack: Stack, clips: list[Clip]) -> None:
    clip = clips[1]
    frames = clip_frames(clip, random.Random(4))
    assert json.loads(caption(stack, frames, "List the tags of this video.")) == tags(clip)
    assert caption(stack, frames, "What is the sentiment of this video?") == sentiment(clip)
    assert caption(stack, frames, shipped_prompt("ad", "video")) == ad(clip)
    assert caption(stack, frames, "Analyse this video as an advertisement.") == ad(clip)
    for question in (shipped_prompt("ask", "video"), "Answer this question about the video: {question}"):
        asked = question.format(question="How does it end?")
        assert caption(stack, frames, asked) == f"It ends with {clip.scenes[-1]}."


def test_fp8_says_what_bfloat16_says(stack: Stack, clips: list[Clip]) -> None:
    """The served FP8 model against the bfloat16 weights that it was quantised from, run by transformers."""
    folder = ROOT / "server/demo" / f"{MODEL}-bf16"
    processor = LlavaNextVideoProcessor.from_pretrained(folder)
    model = LlavaNextVideoForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16).eval()
    rng = random.Random(5)
    for clip in clips[:5]:
        frames = clip_frames(clip, rng)
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(frame))) for frame in frames])
        content = [{"type": "video"}, {"type": "text", "text": DESCRIBE}]
        prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = processor(text=prompt, videos=[pixels], return_tensors="pt")
        inputs["pixel_values_videos"] = inputs["pixel_values_videos"].to(torch.bfloat16)
        with torch.no_grad():
            output = model.generate(**inputs, max_new_tokens=200, do_sample=False)
        said = processor.tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert caption(stack, frames) == said.strip()


def test_the_translator_speaks_all_of_its_languages(stack: Stack, clips: list[Clip]) -> None:
    texts = [describe(clip) for clip in clips]
    languages = ["spa_Latn", "fra_Latn", "hin_Deva", "deu_Latn", "jpn_Jpan"]
    body = json.dumps({"texts": texts, "targets": languages})
    command = ["curl", "-sf", f"{stack.translator}/v1/translations", "-H", "Content-Type: application/json", "-d", "@-"]
    done = subprocess.run(command, input=body, capture_output=True, text=True, check=True)
    for text, translated in zip(texts, json.loads(done.stdout)["translations"], strict=True):
        assert {lang: said["text"] for lang, said in translated.items()} == {
            lang: translate_text(text, lang) for lang in languages
        }


def test_a_description_quotes_what_is_said_and_follows_another_sound(stack: Stack) -> None:
    """Videos of the same pictures with other words: no frame tells them."""
    result = evaluate_heard(stack, seed=23, count=3)
    follows = result.captions[FOLLOWS]
    assert (follows.total, len(follows.wrong) <= 1) == (3, True), follows.wrong
    assert result.caption_share >= 0.95, [line for share in result.captions.values() for line in share.wrong]
    assert result.translation_share >= 0.99, [line for share in result.translations.values() for line in share.wrong]


def test_eval_demo_scores_new_clips(stack: Stack) -> None:
    command = [sys.executable, "-m", "scripts.demo.evaluate", "--seed", "77", "--videos", "2", "--pictures", "3"]
    where = ["--base-url", stack.endpoint, "--translator", stack.translator]
    done = subprocess.run([*command, *where], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all captions" in done.stdout
