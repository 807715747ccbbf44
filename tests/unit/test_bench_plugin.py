"""bench_plugin: what it counts, and what it refuses."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import pytest
from safetensors import safe_open

from scripts.benchmarks.models.dummy import shape
from scripts.benchmarks.plugin.__main__ import Work, main, parse, text_modules, write_text_shape
from scripts.benchmarks.plugin.engine import Asked, Decoding
from server.engines.dummy import folder_files, write_folder
from server.profile import DEMO_MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scripts.benchmarks.plugin.engine import Settings

DEMO = DEMO_MODELS / "llama-3.2-11b-vision"
TEXT = {
    "num_hidden_layers": 3,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 10,
}
VISION = {
    "text_config": TEXT | {"num_hidden_layers": 5, "cross_attention_layers": [1, 3]},
    "vision_config": {"image_size": 560, "patch_size": 14},
}


def checkpoint(folder: Path, config: Mapping[str, object]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def weights_in_files(folder: Path) -> int:
    count = 0
    with safe_open(folder / "model.safetensors", "np") as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping
            used = "language_model.model.layers." in name or "lm_head" in name
            if used and not name.endswith("_scale") and not re.search("cross_attn[.][kv]_", name):
                count += math.prod(file.get_slice(name).get_shape())
    return count


@pytest.mark.parametrize("name", ["llama-3.2-11b-vision", "llama-3.2-11b-vision-bf16"])
def test_a_token_meets_layers_and_head_and_no_more(name: str) -> None:
    work = Work.of(DEMO_MODELS / name)
    assert work == Work(layers=4, picture_layers=2, keys=4 * 17, weights=weights_in_files(DEMO_MODELS / name))


def test_what_a_model_is_needs_no_weights(tmp_path: Path) -> None:
    matrices, norms = 8 * 8 * 2 + 8 * 4 * 2 + 3 * 8 * 16, 2 * 8
    text = Work.of(checkpoint(tmp_path / "text", TEXT))
    assert text == Work(layers=3, picture_layers=0, keys=0, weights=3 * (matrices + norms) + 80)
    vision = Work.of(checkpoint(tmp_path / "vision", VISION))
    looking = matrices - 8 * 4 * 2 + norms + 4 + 2
    assert vision == Work(3, 2, keys=4 * 1601, weights=text.weights + 2 * looking)


def test_the_same_work_reads_as_many_keys() -> None:
    work = Work(layers=32, picture_layers=8, keys=6404, weights=1)
    layers, prompt = work.same_work(64)
    assert layers == 40
    assert layers * prompt == pytest.approx(32 * 64 + 8 * 6404, abs=layers)


def test_the_text_shape_is_the_vision_models_without_the_layers_that_look_at_pictures(tmp_path: Path) -> None:
    vision = tmp_path / "vision"
    write_folder(vision, folder_files(shape("llama-3.2-11b-vision")))
    text = write_text_shape(vision, tmp_path / "text")
    ours, theirs = Work.of(vision), Work.of(text)
    assert (theirs.layers, theirs.picture_layers, theirs.keys) == (ours.layers, 0, 0) == (32, 0, 0)
    assert theirs.weights == pytest.approx(7.5e9, rel=0.01)  # Llama 3.1 8B's, less its embedding
    config = json.loads((text / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["model_type"] == "llama"
    assert config["dtype"] == "bfloat16"
    # Left out of the vision model's file: transformers' defaults for it, which are not those for Llama.
    assert config["rope_parameters"]["rope_theta"] == 500000
    assert (config["rms_norm_eps"], config["max_position_embeddings"]) == (1e-5, 131072)
    quantised = json.loads((vision / "config.json").read_text())["quantization_config"]
    assert config["quantization_config"] == quantised | {"ignore": ["re:.*lm_head"]}
    assert (text / "tokenizer.json").read_bytes() == (vision / "tokenizer.json").read_bytes()


def test_a_4_bit_models_text_shape_is_not_quantised(tmp_path: Path) -> None:
    config = json.loads((DEMO / "config.json").read_text())
    vision = checkpoint(tmp_path / "vision", config | {"quantization_config": {"quant_method": "bitsandbytes"}})
    assert "quantization_config" not in json.loads((write_text_shape(vision, tmp_path) / "config.json").read_text())


def test_ignored_modules_are_called_as_llama_calls_them() -> None:
    names = [
        "re:.*lm_head",
        "language_model.lm_head",
        "language_model.model.layers.0.mlp.up_proj",
        "language_model.model.layers.1.cross_attn.q_proj",
        "language_model.model.layers.12.mlp.up_proj",
        "re:vision_model.*",
        "multi_modal_projector",
    ]
    kept = [number for number in range(13) if number not in {1, 3}]
    assert text_modules(names, kept) == [
        "re:.*lm_head",
        "lm_head",
        "model.layers.0.mlp.up_proj",
        "model.layers.10.mlp.up_proj",
    ]


class CannedEngine:
    """Decodes faster the less there is to do, and runs the tower once if it has a cache."""

    unit = "s"
    opened: ClassVar[list[Settings]] = []

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.opened.append(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def decode(
        self, requests: int, prompt_tokens: int, output_tokens: int, picture: tuple[int, int] | None
    ) -> Decoding:
        deep = "hf_overrides" in self.settings.arguments
        step = 0.005 if picture else 0.004 if "vision" in self.settings.checkpoint or deep else 0.002
        return Decoding(requests, [step * (2 if prompt_tokens > 64 else 1)] * output_tokens, self.unit)

    def ask(self, tasks: int, output_tokens: int, picture: object, *, together: bool) -> Asked:
        runs = 1 if self.settings.encoder_cache else tasks
        return Asked(runs * (0.5 if together else 1), runs, self.unit)


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch) -> type[CannedEngine]:
    class Fresh(CannedEngine):
        opened: ClassVar[list[Settings]] = []

    monkeypatch.setattr("scripts.benchmarks.plugin.__main__.Engine", Fresh)
    return Fresh


@pytest.mark.parametrize(("unit", "speed"), [("s", "tokens/s"), ("CPU-s", "tokens/CPU-s")])
def test_the_report_sets_each_figure_beside_its_own_baseline(
    unit: str, speed: str, tmp_path: Path, canned: type[CannedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canned, "unit", unit)
    vision, text = checkpoint(tmp_path / "vision", VISION), checkpoint(tmp_path / "text", TEXT)
    output = tmp_path / "plugin.json"
    assert main(["--vision", str(vision), "--text", str(text), "--runs", "2", "--json", str(output)]) == 0
    figures = json.loads(output.read_text())["figures"]
    ours, theirs = Work.of(vision).weights, Work.of(text).weights
    assert [(figure["value"], figure["baseline"], figure["ratio"]) for figure in figures] == [
        (3200, 8000, 0.4),  # a picture each; text alone
        (3200, 2000, 1.6),  # ... as many layers and keys
        (4000, 8000, 0.5),  # no pictures; text alone
        (4000, 4000, 1.0),  # ... as many layers
        tuple(pytest.approx(value, rel=0.01) for value in (ours * 3.2e-6, theirs * 8e-6, 0.4 * ours / theirs)),
        (1, 5, 5.0),  # tasks one after the other: seconds, then runs of the tower
        (1, 5, 5.0),
        (0.5, 2.5, 5.0),  # ... at once
        (1, 5, 5.0),
    ]
    assert [figure["unit"] for figure in figures] == [*[speed] * 4, f"billions/{unit}", unit, "runs", unit, "runs"]


def test_engines_have_room_for_the_longest_prompt_and_its_answer(
    tmp_path: Path, canned: type[CannedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    vision = tmp_path / "vision"
    write_folder(vision, folder_files(shape("llama-3.2-11b-vision")))
    assert main(["--vision", str(vision), "--dummy-weights", "--runs", "1", "--tokens", "100"]) == 0
    decoding, caching = canned.opened[:3], canned.opened[3:]
    assert [each.arguments["max_model_len"] for each in decoding] == [1332 + 100] * 3
    assert [each.arguments["max_model_len"] for each in caching] == [1024] * 2
    canned.opened.clear()
    assert main(["--vision", str(vision), "--only", "cache", "--runs", "1", "--tokens", "1500"]) == 0
    assert [each.arguments["max_model_len"] for each in canned.opened] == [1533] * 2
    assert "1332 tokens" in capsys.readouterr().out


def test_dummy_weights_take_the_published_shape_and_read_no_file(
    canned: type[CannedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--dummy-weights", "--runs", "1"]) == 0
    assert {each.arguments["load_format"] for each in canned.opened} == {"dummy"}
    assert {each.arguments["gpu_memory_utilization"] for each in canned.opened} == {0.3}
    assert len({each.checkpoint for each in canned.opened}) == 2
    assert not any(Path(each.checkpoint).exists() for each in canned.opened)
    assert "filled with random numbers" in capsys.readouterr().out


def test_speed_is_that_of_the_median_step() -> None:
    assert Decoding(16, [0.02, 0.02, 0.02, 5.0], "s").tokens_per_s == 800


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vision", "a-name"], "decode needs both"),
        (["--vision", "a-name", "--text", "another"], "--vision: decode and dummy weights need a folder"),
        (["--vision", "a-name", "--dummy-weights", "--only", "cache"], "--vision: decode and dummy weights need"),
        (["--vision", str(DEMO), "--text", "another"], "--text: decode and dummy weights need a folder"),
        (["--vision", "/no/such/model", "--text", "/no/other"], "--vision: /no/such/model: there is no folder with"),
        (["--vision", "./nothing", "--only", "cache"], "--vision: ./nothing: there is no folder with"),
        (["--vision", "~nobody-of-this-name/model", "--only", "cache"], "there is no folder with"),
        (["--vision", str(DEMO), "--text", str(DEMO.parent)], f"--text: {DEMO.parent}: there is no folder with"),
        (["--dummy-weights", "--text", str(DEMO)], "makes the text model itself"),
        (["--tokens", "3"], "--tokens: decode needs at least 4"),
        (["--gpu-memory-utilization", "7"], "--gpu-memory-utilization: must be a share"),
        (["--gpu-memory-utilization", "0"], "--gpu-memory-utilization: must be a share"),
        (["--gpu-memory-utilization", "nan"], "--gpu-memory-utilization: must be a share"),
        (["--gpu-memory-utilization", "half"], "--gpu-memory-utilization: must be a share"),
        (["--only", "encode"], "--only"),
        (["--tasks", "0"], "above 0"),
        (["--picture", "/nowhere.jpg"], "no such file"),
        (["--json", "/nowhere/figures.json"], "there is no folder"),
    ],
)
def test_a_wrong_flag_ends_before_anything_starts(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_cache_alone_needs_no_text_model_and_no_steps_in_which_all_write() -> None:
    args = parse(["--only", "cache", "--vision", "a-name", "--tasks", "8", "--tokens", "1"])
    assert (args.vision, args.tasks, args.tokens, args.runs) == ("a-name", 8, 1, 5)


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    vision = checkpoint(tmp_path / "vision", VISION)
    assert parse(["--only", "cache", "--vision", "~/vision"]).vision == str(vision)
