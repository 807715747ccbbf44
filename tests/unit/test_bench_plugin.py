"""bench_plugin: what it counts, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self

import pytest
import torch
from bench_plugin import Work, main, parse
from bench_plugin_engine import Asked, Decoding
from safetensors.torch import save_file

if TYPE_CHECKING:
    from pathlib import Path

    from bench_plugin_engine import Settings

VISION = {
    "text_config": {"num_hidden_layers": 5, "cross_attention_layers": [1, 3]},
    "vision_config": {"image_size": 560, "patch_size": 14},
}


def checkpoint(folder: Path, config: dict[str, object], shards: list[dict[str, tuple[int, ...]]]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    for number, shapes in enumerate(shards):
        save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, folder / f"{number}.safetensors")
    return folder


def test_a_token_meets_layers_and_head_and_no_more(tmp_path: Path) -> None:
    layers = "language_model.model.layers"
    used = {f"{layers}.0.mlp.up_proj.weight": (2, 3), f"{layers}.1.cross_attn.q_proj.weight": (4, 5)}
    made_once = {f"{layers}.1.cross_attn.k_proj.weight": (4, 5), f"{layers}.1.cross_attn.v_proj.weight": (4, 5)}
    tower = {"vision_model.transformer.layers.0.mlp.fc1.weight": (6, 7), "multi_modal_projector.weight": (6, 7)}
    rest = {"language_model.model.embed_tokens.weight": (9, 9), "language_model.lm_head.weight": (10, 3)}
    work = Work.of(checkpoint(tmp_path / "vision", VISION, [used | made_once, tower | rest]))
    assert work == Work(layers=3, picture_layers=2, keys=4 * 1601, weights=6 + 20 + 30)
    shapes = {"model.layers.0.mlp.up_proj.weight": (2, 3), "lm_head.weight": (10, 3)}
    text = checkpoint(tmp_path / "text", {"num_hidden_layers": 3}, [shapes])
    assert Work.of(text) == Work(layers=3, picture_layers=0, keys=0, weights=36)


def test_the_same_work_reads_as_many_keys() -> None:
    work = Work(layers=32, picture_layers=8, keys=6404, weights=1)
    layers, prompt = work.same_work(64)
    assert layers == 40
    assert layers * prompt == pytest.approx(32 * 64 + 8 * 6404, abs=layers)


class CannedEngine:
    """Decodes faster the less there is to do, and runs the tower once if it has a cache."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def decode(
        self, requests: int, prompt_tokens: int, output_tokens: int, picture: tuple[int, int] | None
    ) -> Decoding:
        deep = "hf_overrides" in self.settings.arguments
        step = 0.005 if picture else 0.004 if "vision" in self.settings.checkpoint or deep else 0.002
        return Decoding(requests, [step * (2 if prompt_tokens > 64 else 1)] * output_tokens)

    def ask(self, tasks: int, output_tokens: int, picture: object, *, together: bool) -> Asked:
        runs = 1 if self.settings.encoder_cache_mib else tasks
        return Asked(runs * (0.5 if together else 1), runs)


def test_the_report_sets_each_figure_beside_its_own_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench_plugin.Engine", CannedEngine)
    vision = checkpoint(tmp_path / "vision", VISION, [{"lm_head.weight": (10, 3)}])
    text = checkpoint(tmp_path / "text", {"num_hidden_layers": 3}, [{"lm_head.weight": (5, 3)}])
    output = tmp_path / "plugin.json"
    assert main(["--vision", str(vision), "--text", str(text), "--runs", "2", "--json", str(output)]) == 0
    found = [
        (figure["value"], figure["baseline"], figure["ratio"]) for figure in json.loads(output.read_text())["figures"]
    ]
    assert found == [
        (3200, 8000, 0.4),  # a picture each; text alone
        (3200, 2000, 1.6),  # ... as many layers and keys
        (4000, 8000, 0.5),  # no pictures; text alone
        (4000, 4000, 1.0),  # ... as many layers
        (pytest.approx(96e-6), pytest.approx(120e-6), 0.8),  # weights met
        (1, 5, 5.0),  # tasks one after the other: seconds, then runs of the tower
        (1, 5, 5.0),
        (0.5, 2.5, 5.0),  # ... at once
        (1, 5, 5.0),
    ]


def test_speed_is_that_of_the_median_step() -> None:
    assert Decoding(16, [0.02, 0.02, 0.02, 5.0]).tokens_per_s == 800


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vision", "a-folder"], "decode needs both"),
        (["--only", "encode"], "--only"),
        (["--tasks", "0"], "above 0"),
        (["--picture", "/nowhere.jpg"], "no such file"),
        (["--json", "/nowhere/figures.json"], "no such folder"),
    ],
)
def test_a_wrong_flag_ends_before_anything_starts(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_cache_alone_needs_no_text_model() -> None:
    args = parse(["--only", "cache", "--vision", "a-folder", "--tasks", "8"])
    assert (args.vision, args.tasks, args.runs) == ("a-folder", 8, 5)
