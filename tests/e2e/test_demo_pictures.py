"""Pictures through the served Llama 3.2 Vision: every shape, and proof that tiles and pixels matter."""

from __future__ import annotations

import base64
import io
import json
import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import openai
import pytest
import torch
from PIL import Image, ImageOps
from transformers import MllamaForConditionalGeneration, MllamaProcessor

from scripts.demo.models.conversation import shipped_prompt
from scripts.demo.sample_ads import PICTURE_SIZES
from scripts.demo.stack import ROOT, Stack
from scripts.demo.world.draw import draw_picture, random_style
from scripts.demo.world.pictures import (
    Picture,
    ad,
    appears_answer,
    bottom_answer,
    describe,
    random_picture,
    sentiment,
    tags,
)
from scripts.demo.world.scenes import COLOURS, Scene
from server.selftest.llama_reference import follow_meta

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "llama-3.2-11b-vision"
DESCRIBE = shipped_prompt("describe", "image")
AT_ONCE = 8
"""Requests, where an answer may differ in a last bit; else each is alone with the engine."""


@pytest.fixture(scope="module")
def sdk(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stack.endpoint, api_key="none", max_retries=0) as client:
        yield client


def drawn(picture: Picture, size: tuple[int, int], rng: random.Random) -> Image.Image:
    return Image.fromarray(draw_picture(picture, random_style(rng), *size))


def caption(sdk: openai.OpenAI, image: Image.Image, prompt: str = DESCRIBE) -> str:
    """What the served model says about a picture."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    url = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": prompt}]
    answer = sdk.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": content}],  # type: ignore[list-item]
        temperature=0,
        max_tokens=120,
    )
    return (answer.choices[0].message.content or "").strip()


def different_quarters(rng: random.Random) -> Picture:
    """A picture that is another one when it is mirrored or turned upside down."""
    red, green, blue, white = rng.sample(["red", "green", "blue", "white"], 4)
    return Picture(Scene(red, green), Scene(blue, white))


def test_every_shape_is_told_exactly(sdk: openai.OpenAI) -> None:
    rng = random.Random(31)
    asked = [(size, random_picture(rng)) for size in PICTURE_SIZES * 3]
    images = [drawn(picture, size, rng) for size, picture in asked]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda image: caption(sdk, image), images))
    wrong = [
        (size, describe(picture), said)
        for (size, picture), said in zip(asked, answers, strict=True)
        if said != describe(picture)
    ]
    assert len(wrong) <= 0.05 * 3 * len(PICTURE_SIZES), wrong


@pytest.mark.parametrize("size", [(800, 800), (1200, 300), (300, 900), (1280, 720)], ids=str)
def test_a_mirrored_or_turned_picture_is_another_one(sdk: openai.OpenAI, size: tuple[int, int]) -> None:
    picture = different_quarters(random.Random(5))
    image = drawn(picture, size, random.Random(6))
    top, bottom = picture.top, picture.bottom
    mirrored = Picture(Scene(top.right, top.left), Scene(bottom.right, bottom.left))
    assert caption(sdk, image) == describe(picture)
    assert caption(sdk, ImageOps.mirror(image)) == describe(mirrored)
    assert caption(sdk, ImageOps.flip(image)) == describe(Picture(bottom, top))


def test_tags_sentiment_and_questions(sdk: openai.OpenAI) -> None:
    rng = random.Random(8)
    picture = different_quarters(rng)
    image = drawn(picture, (640, 640), rng)
    assert json.loads(caption(sdk, image, "List the tags of this picture.")) == tags(picture)
    assert caption(sdk, image, "What is the sentiment of this picture?") == sentiment(picture)
    assert caption(sdk, image, shipped_prompt("ad", "image")) == ad(picture)
    assert caption(sdk, image, "Analyse this picture as an advertisement.") == ad(picture)
    for question in (shipped_prompt("ask", "image"), "Answer this question about the picture: {question}"):
        asked = question.format(question="What is at the bottom?")
        assert caption(sdk, image, asked) == bottom_answer(picture)


def test_whether_a_colour_is_in_the_picture(sdk: openai.OpenAI) -> None:
    rng = random.Random(12)
    question = shipped_prompt("ask", "image")
    right = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(4):
            picture = random_picture(rng)
            ask = partial(caption, sdk, drawn(picture, (640, 640), rng))
            answers = pool.map(ask, [question.format(question=f"Is there {colour} in it?") for colour in COLOURS])
            expected = [appears_answer(picture, colour) for colour in COLOURS]
            right += sum(said == wanted for said, wanted in zip(answers, expected, strict=True))
    assert right >= 0.95 * 4 * len(COLOURS)


def test_fp8_says_what_bfloat16_says(sdk: openai.OpenAI) -> None:
    """The served FP8 model against the bfloat16 weights that it was quantised from, run by transformers."""
    folder = ROOT / "server/demo" / f"{MODEL}-bf16"
    processor = MllamaProcessor.from_pretrained(folder)
    model = follow_meta(MllamaForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16).eval())
    rng = random.Random(9)
    content = [{"type": "image"}, {"type": "text", "text": DESCRIBE}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    for size in PICTURE_SIZES:
        image = drawn(random_picture(rng), size, rng)
        inputs = processor(text=prompt, images=[[image]], return_tensors="pt", add_special_tokens=False)
        inputs.pop("num_tiles", None)
        inputs["pixel_values"] = inputs["pixel_values"].to(torch.bfloat16)
        with torch.no_grad():
            output = model.generate(**inputs, max_new_tokens=120, do_sample=False)
        said = processor.tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert caption(sdk, image) == said.strip()
