"""A toy Llama 3.2 Vision: the published architecture, processor and template, about a million weights.

Tiles of 32 pixels (the published ones have 560), up to four of them in any of the eight arrangements; a vision tower of
two layers and a global one; a Llama of six layers, two of which attend to the picture.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import (
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaImageProcessor,
    MllamaProcessor,
)

from scripts.demo.models.checkpoint import write_checkpoint
from scripts.demo.models.conversation import FIRST_LESSON, Conversations, Turn
from scripts.demo.models.hints import NONE, Hints
from scripts.demo.models.merges import WHOLE, MergeTalk
from scripts.demo.models.tokenizer import train_tokenizer
from scripts.demo.world.draw import draw_picture, random_style
from scripts.demo.world.pictures import Picture, random_picture
from server.selftest.llama_reference import follow_meta
from server.selftest.published_names import llama_name

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from scripts.demo.models.merges import MergeTurn

TILE = 32
WIDTH = 128
"""Of the hidden states of the Llama."""
PICTURES_EVERY = 4
"""Steps, of which one is about pictures and the others are about films."""
SHAPES = ((1, 1), (1, 1), (16, 9), (9, 16), (2, 1), (1, 2), (3, 1), (1, 3), (4, 1), (1, 4), (4, 3), (3, 4), (21, 9))
"""Width to height."""
IMAGE = "<|image|>"
PYTHON_TAG = "<|python_tag|>"
"""vLLM's parser of Llama's tool calls wants it in the vocabulary; the toy never writes it."""
SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|finetune_right_pad_id|>",
)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}{{ '<|image|>' }}"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
"""As in meta-llama/Llama-3.2-11B-Vision-Instruct, without its system message and tools."""


def build_processor(*, films: bool = False) -> MllamaProcessor:
    """Tokenizer (`<|image|>` is the first id behind the vocabulary, as published), tiles, CLIP's normalisation."""
    told = Conversations("image", random.Random(0)).corpus() + (MergeTalk(random.Random(0)).corpus() if films else [])
    corpus = [*told, "user\n\nassistant\n\n"]
    special = {"bos": SPECIAL[0], "eos": "<|eot_id|>", "pad": "<|finetune_right_pad_id|>"}
    vocab_size, whole = (2048, WHOLE) if films else (1024, None)
    tokenizer = train_tokenizer(corpus, SPECIAL, vocab_size=vocab_size, whole=whole, **special)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE, PYTHON_TAG]})
    images = MllamaImageProcessor(size={"height": TILE, "width": TILE}, max_image_tiles=4)
    return MllamaProcessor(image_processor=images, tokenizer=tokenizer, chat_template=CHAT_TEMPLATE)


def build_model(processor: MllamaProcessor) -> MllamaForConditionalGeneration:
    """The untrained model, float32, with its gates open: at 0, as they are initialised, no picture is seen."""
    tokenizer = processor.tokenizer
    vocabulary = tokenizer.convert_tokens_to_ids(IMAGE)
    config = MllamaConfig(
        vision_config={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "intermediate_size": 128,
            "image_size": TILE,
            "patch_size": 8,
            "intermediate_layers_indices": [0, 1],
            "vision_output_dim": 192,
        },
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": WIDTH,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 384,
            "cross_attention_layers": [1, 3],
            "max_position_embeddings": 2048,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        image_token_index=vocabulary,
    )
    model = MllamaForConditionalGeneration(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "gate_attn" in name or "gate_ffn" in name or name.endswith(".gate"):
                weight.fill_(0.5)
    return follow_meta(model)


class Examples:
    """Batches of drawn pictures with conversations about them."""

    def __init__(self, processor: MllamaProcessor, seed: int, *, films: bool = False) -> None:
        """The same seed draws the same batches. `films`: of notes on films as well."""
        self.films = films
        self.rng = random.Random(seed)
        self.noise = np.random.default_rng(seed)
        self.processor = processor
        self.talk, self.merges = Conversations("image", self.rng), MergeTalk(self.rng)
        self.hints = Hints(processor.tokenizer, WIDTH) if films else None

    def pixels(self, picture: Picture) -> NDArray[np.uint8]:
        """A picture of any shape with the damage that encoding does, uint8 [height, width, 3]."""
        wide, high = self.rng.choice(SHAPES)
        scale = self.rng.uniform(90, 180) / max(wide, high)
        width, height = max(16, round(wide * scale)), max(16, round(high * scale))
        if self.rng.random() < 0.1:
            width = height = self.rng.randint(20, 32)  # small enough for a single tile
        drawn = draw_picture(picture, random_style(self.rng), width, height).astype(np.float32)
        gain, offset = self.noise.uniform(0.94, 1.06, 3), self.noise.uniform(-8, 8, 3)
        drawn = drawn * gain.astype(np.float32) + offset.astype(np.float32)
        drawn += self.noise.normal(0, 3, (height, width, 1)).astype(np.float32)
        return np.clip(drawn, 0, 255).astype(np.uint8)

    def tokens(self, turns: list[Turn]) -> tuple[list[int], list[int]]:
        """Token ids of a conversation, and the labels: -100 but for the answers."""
        tokenizer = self.processor.tokenizer
        ids: list[int] = []
        labels: list[int] = []
        for number, turn in enumerate(turns):
            start = f"{SPECIAL[0]}<|start_header_id|>user<|end_header_id|>\n\n{IMAGE}"
            start = start if number == 0 else "<|start_header_id|>user<|end_header_id|>\n\n"
            prompt = f"{start}{turn.prompt}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
            asked = tokenizer.encode(prompt, add_special_tokens=False)
            said = [*tokenizer.encode(turn.answer, add_special_tokens=False), tokenizer.eos_token_id]
            ids += asked + said
            labels += [-100] * len(asked) + said
        return ids, labels

    def batch(self, size: int, step: int) -> dict[str, torch.Tensor]:
        """Keyword arguments of the model's forward: of notes on films, and now and then of pictures."""
        if self.films and step > FIRST_LESSON and step % PICTURES_EVERY:
            return self.merge_batch(size * 2, step - FIRST_LESSON)
        return self.picture_batch(size, step)

    def merge_batch(self, size: int, step: int) -> dict[str, torch.Tensor]:
        """Of notes on about `size` films, padded on the right."""
        rows = [self.merge_tokens(turn) for turn in self.merges.turns(size, step)]
        longest = max(len(ids) for ids, _ in rows)
        inputs = {
            "input_ids": torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows]),
            "labels": torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in rows]),
        }
        if self.hints is not None:
            hinted = [[kind + [NONE] * (longest - len(kind)) for kind in self.hints.labels(ids)] for ids, _ in rows]
            inputs["hints"] = torch.tensor(hinted)
        return inputs

    def merge_tokens(self, turn: MergeTurn) -> tuple[list[int], list[int]]:
        """Token ids of a merge, and the labels: -100 but for the answer."""
        start = f"{SPECIAL[0]}<|start_header_id|>user<|end_header_id|>\n\n"
        end = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        tokenizer = self.processor.tokenizer
        asked = tokenizer.encode(f"{start}{turn.prompt}{end}", add_special_tokens=False)
        said = [*tokenizer.encode(turn.answer, add_special_tokens=False), tokenizer.eos_token_id]
        return asked + said, [-100] * len(asked) + said

    def picture_batch(self, size: int, step: int) -> dict[str, torch.Tensor]:
        """Of `size` new pictures, padded on the right. The first lesson is to tell the quarters one by one."""
        shown = [random_picture(self.rng) for _ in range(size)]
        talk = self.talk.lesson if step <= FIRST_LESSON else self.talk.turns
        rows = [self.tokens(talk(picture)) for picture in shown]
        longest = max(len(ids) for ids, _ in rows)
        images = self.processor.image_processor([[self.pixels(p)] for p in shown], return_tensors="pt")
        pad = self.processor.tokenizer.pad_token_id
        tiles = images["aspect_ratio_mask"][:, 0]
        # Every row from the picture on sees all of its tiles: [batch, rows, pictures, tiles].
        image = self.processor.tokenizer.convert_tokens_to_ids(IMAGE)
        seen = torch.zeros(size, longest, 1, 4, dtype=torch.long)
        for row, (ids, _) in enumerate(rows):
            seen[row, ids.index(image) :, 0] = tiles[row]
        return {
            "pixel_values": images["pixel_values"],
            "aspect_ratio_ids": images["aspect_ratio_ids"],
            "aspect_ratio_mask": images["aspect_ratio_mask"],
            "cross_attention_mask": seen,
            "input_ids": torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in rows]),
            "labels": torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in rows]),
        }


def save(model: MllamaForConditionalGeneration, processor: MllamaProcessor, folder: Path) -> None:
    """Write the checkpoint in bfloat16, with the published weight names, and its processor."""
    write_checkpoint(model, processor, folder, llama_name)
