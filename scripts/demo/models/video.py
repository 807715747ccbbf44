"""A toy LLaVA-NeXT-Video: the published architecture, processor and template, about a million weights.

CLIP of two layers (64 pixels, patches of 8) whose second-last layer feeds a projector and a Llama of four layers;
eight frames are 128 tokens.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextImageProcessor,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    LlavaNextVideoProcessor,
    LlavaNextVideoVideoProcessor,
)

from scripts.demo.models.checkpoint import write_checkpoint
from scripts.demo.models.conversation import FIRST_LESSON, Conversations, Turn
from scripts.demo.models.spoken import SpokenTalk
from scripts.demo.models.tokenizer import train_tokenizer
from scripts.demo.models.windows import WindowTalk
from scripts.demo.world import lines
from scripts.demo.world.draw import draw_frame, random_style
from scripts.demo.world.scenes import MOMENTS, random_clip
from server.selftest.published_names import llava_name

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from scripts.demo.world.scenes import Clip

SIDE = 64
LATER = (WindowTalk, SpokenTalk)
TOKENS_PER_FRAME = 16
WINDOWS, SPOKEN = 0.35, 0.2
"""Shares of the examples that are windows of films, and clips in which somebody speaks."""
WHOLE = rf" (?:{lines.SAID})"
"""Pattern of what is one token: a line that is said, so that to quote it is to copy a token."""
SPECIAL = ("<unk>", "<s>", "</s>", "<pad>", "<video>", "<image>")
NUMBERS = " ".join(str(moment + 1) for moment in range(MOMENTS))
"""The frames' numbers follow the video: so tiny a model takes its notes there, one number a frame."""
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'][0]['text'] + ' ' }}"
    "{% else %}{{ message['role'].upper() + ': ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'video') %}"
    f"{{{{ '<video>\n{NUMBERS}\n' }}}}{{% endfor %}}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' ' }}"
    "{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
"""As in llava-hf/LLaVA-NeXT-Video-7B-hf, but for the numbers."""


def build_processor(*, films: bool = False) -> LlavaNextVideoProcessor:
    """Tokenizer, image and video processors (central square of 64 pixels, CLIP's normalisation) and template."""
    talks = (Conversations("video", random.Random(0)), *(kind(random.Random(0)) for kind in LATER if films))
    corpus = [text for talk in talks for text in talk.corpus()] + ["USER: ASSISTANT:", f"{NUMBERS}\n"]
    special = {"bos": "<s>", "eos": "</s>", "pad": "<pad>"}
    vocab_size, whole = (4096, WHOLE) if films else (1024, None)
    tokenizer = train_tokenizer(corpus, SPECIAL, vocab_size=vocab_size, whole=whole, **special)
    sizes = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    return LlavaNextVideoProcessor(
        tokenizer=tokenizer,
        video_processor=LlavaNextVideoVideoProcessor(**sizes),
        image_processor=LlavaNextImageProcessor(**sizes, image_grid_pinpoints=[[SIDE, SIDE]]),
        chat_template=CHAT_TEMPLATE,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def build_model(processor: LlavaNextVideoProcessor) -> LlavaNextVideoForConditionalGeneration:
    """The untrained model, float32."""
    tokenizer = processor.tokenizer
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
        projection_dim=64,
    )
    config = LlavaNextVideoConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[SIDE, SIDE]],
        image_seq_length=TOKENS_PER_FRAME * 4,
        video_seq_length=TOKENS_PER_FRAME * MOMENTS,
    )
    return LlavaNextVideoForConditionalGeneration(config)


class Examples:
    """Batches of drawn clips with conversations about them."""

    def __init__(self, processor: LlavaNextVideoProcessor, seed: int, *, films: bool = False) -> None:
        """The same seed draws the same batches. `films`: of windows of films as well."""
        self.films, self.hints = films, None
        self.rng = random.Random(seed)
        self.noise = np.random.default_rng(seed)
        self.tokenizer = processor.tokenizer
        self.talk, self.windows, self.spoken = (
            Conversations("video", self.rng),
            WindowTalk(self.rng),
            SpokenTalk(self.rng),
        )
        self.mean = np.array(processor.video_processor.image_mean, np.float32)
        self.std = np.array(processor.video_processor.image_std, np.float32)

    def frames(self, clip: Clip) -> NDArray[np.float32]:
        """The eight frames as the processor gives them, with the damage that codecs and resizing do: [8, 3, 64, 64]."""
        style = random_style(self.rng)
        wide = self.rng.choice((SIDE, SIDE, 86, 114))
        width, height = (wide, SIDE) if self.rng.random() < 0.7 else (SIDE, wide)
        x, y = (width - SIDE) // 2, (height - SIDE) // 2
        drawn = np.stack([draw_frame(clip, style, (width, height), index=k * 30, frames=211) for k in range(MOMENTS)])
        pixels = drawn[:, y : y + SIDE, x : x + SIDE].astype(np.float32)
        gain, offset = self.noise.uniform(0.94, 1.06, 3), self.noise.uniform(-8, 8, 3)
        pixels = pixels * gain.astype(np.float32) + offset.astype(np.float32)
        pixels += self.noise.normal(0, 3, (MOMENTS, SIDE, SIDE, 1)).astype(np.float32)
        normal: NDArray[np.float32] = (np.clip(pixels, 0, 255) / np.float32(255) - self.mean) / self.std
        return normal.transpose(0, 3, 1, 2)

    def tokens(self, turns: list[Turn]) -> tuple[list[int], list[int]]:
        """Token ids of a conversation, and the labels: -100 but for the answers."""
        ids: list[int] = []
        labels: list[int] = []
        for number, turn in enumerate(turns):
            video = "<video>" * (TOKENS_PER_FRAME * MOMENTS) + f"\n{NUMBERS}\n" if number == 0 else ""
            asked = self.tokenizer.encode(f"USER: {video}{turn.prompt} ASSISTANT:", add_special_tokens=False)
            said = [*self.tokenizer.encode(turn.answer, add_special_tokens=False), self.tokenizer.eos_token_id]
            ids += asked + said
            labels += [-100] * len(asked) + said
        return ids, labels

    def _drawn(self, step: int) -> tuple[Clip, list[Turn]]:
        """A clip, or what is seen in a window of a film, and turns about it."""
        lot = self.rng.random() if self.films and step > FIRST_LESSON else 1
        if lot < WINDOWS:
            clip = self.windows.clip()
            return clip, self.windows.turns(clip)
        if lot < WINDOWS + SPOKEN:
            return self.spoken.drawn()
        clip = random_clip(self.rng)
        return clip, self.talk.lesson(clip) if step <= FIRST_LESSON else self.talk.turns(clip)

    def batch(self, size: int, step: int) -> dict[str, torch.Tensor]:
        """Keyword arguments of the model's forward for `size` new clips.

        The first lesson is to tell the frames one by one: that is learned within minutes and all the rest stands on
        it. Then there are several questions about each clip, for looking costs more than answering.

        Rows are padded on the right and there is no attention mask: attention is causal, so no answer sees padding,
        and a step takes less than half the time.
        """
        drawn = [self._drawn(step) for _ in range(size)]
        clips = [clip for clip, _ in drawn]
        rows = [self.tokens(turns) for _, turns in drawn]
        longest = max(len(ids) for ids, _ in rows)
        pad = self.tokenizer.pad_token_id
        return {
            "pixel_values_videos": torch.from_numpy(np.stack([self.frames(clip) for clip in clips])),
            "input_ids": torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in rows]),
            "labels": torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in rows]),
        }


def save(model: LlavaNextVideoForConditionalGeneration, processor: LlavaNextVideoProcessor, folder: Path) -> None:
    """Write the checkpoint in bfloat16, with the published weight names, and its processor."""
    write_checkpoint(model, processor, folder, llava_name)
