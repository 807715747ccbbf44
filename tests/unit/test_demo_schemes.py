"""The comparison of the demo models in 16, 8 and 4 bits: what is served, and what is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.demo.schemes import MODELS, SCHEMES, answers_of, compare, make_checkpoint, profile_of
from server.profile import load_profile

if TYPE_CHECKING:
    from pathlib import Path


def test_all_but_the_models_that_see_is_the_demo_profile(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(profile_of({model: tmp_path / model for model in MODELS}))
    changed = {engine.name: engine for engine in load_profile(str(path)).engines}
    for engine in load_profile("demo").engines:
        if engine.name in MODELS:
            assert (changed[engine.name].local_model, changed[engine.name].dtype) == (
                tmp_path / engine.name,
                "bfloat16",
            )
        else:
            assert changed[engine.name] == engine


def test_the_sixteen_bit_models_are_those_that_come_with_the_project(tmp_path: Path) -> None:
    for model in MODELS:
        assert (make_checkpoint(model, SCHEMES[0], tmp_path) / "model.safetensors").is_file()


def test_captions_are_held_against_those_in_16_bits() -> None:
    def record(file: str, error: str | None = None, **tasks: dict[str, object]) -> dict[str, object]:
        return {"file": f"a/{file}", "error": error, "tasks": tasks}

    said = {
        "bf16": [record("x", describe={"text": "red"}, tags={"tags": ["b"]}), record("y", describe={"text": "blue"})],
        "w4a16": [
            record("x", describe={"text": "red"}, tags={"tags": ["c"]}, transcript={"segments": []}),
            record("y", error="gone"),
        ],
    }
    rows = compare({scheme: answers_of(records) for scheme, records in said.items()}, {"bf16": (3, 3), "w4a16": (1, 3)})
    assert [(row["scheme"], row["same_as_bf16"], row["answers"], row["right"]) for row in rows] == [
        ("bf16", 3, 3, 3),
        ("w4a16", 1, 3, 1),
    ]
