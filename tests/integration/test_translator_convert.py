"""Conversion: the same model from any kind of checkpoint as the library makes of it, in bounded memory, once."""

import asyncio
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from ctranslate2.converters import TransformersConverter
from safetensors.numpy import load_file, save_file

from scripts.benchmarks.models.random_nllb import SHAPES, Shape, write
from translator.checks.checks import Thresholds
from translator.checks.review import with_checks
from translator.errors import ModelError
from translator.model import conversion
from translator.model.convert import main
from translator.model.engine import Engine
from translator.model.job import Job
from translator.model.models import DEMO_MODEL, prepare


def run_convert(checkpoint: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "translator.model.convert", checkpoint, output, *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def converted(checkpoint: Path, output: Path) -> bytes:
    conversion.convert(checkpoint, output)
    return (output / "model.bin").read_bytes()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "whole"
    write(folder, SHAPES["tiny"])
    return folder


def with_weights(checkpoint: Path, folder: Path, name: str, weights: object) -> Path:
    """A copy of a checkpoint with other weights: arrays for safetensors, tensors for a pickle."""
    shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    if name.endswith(".safetensors"):
        save_file(weights, folder / name)  # type: ignore[arg-type]
    else:
        torch.save(weights, folder / name)
    return folder


def test_it_is_what_the_library_makes_of_it(tmp_path: Path) -> None:
    """The weights to the last bit; the position table, which is computed, to rounding."""
    done = run_convert(DEMO_MODEL, tmp_path / "ours")
    assert done.returncode == 0, done.stderr
    ours = (tmp_path / "ours" / "model.bin").read_bytes()
    TransformersConverter(str(DEMO_MODEL), low_cpu_mem_usage=True).convert(
        str(tmp_path / "theirs"), quantization="int8"
    )
    for name in ("config.json", "shared_vocabulary.json"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    theirs = (tmp_path / "theirs" / "model.bin").read_bytes()
    assert len(ours) == len(theirs)
    table = conversion.sinusoids(1024, 64).tobytes()
    start = ours.index(table)
    end = start + len(table)
    assert ours[:start] + ours[end:] == theirs[:start] + theirs[end:]
    positions = [np.frombuffer(model[start:end], np.float32) for model in (ours, theirs)]
    np.testing.assert_allclose(*positions, atol=1e-4)
    assert ctranslate2.contains_model(str(tmp_path / "ours"))


def test_shards_and_pickles_give_the_same_model(tiny: Path, tmp_path: Path) -> None:
    whole = converted(tiny, tmp_path / "0")
    write(tmp_path / "sharded", SHAPES["tiny"], shards=3)
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) == 3
    assert converted(tmp_path / "sharded", tmp_path / "1") == whole
    tensors = {name: torch.from_numpy(array) for name, array in load_file(tiny / "model.safetensors").items()}
    one = with_weights(tiny, tmp_path / "one", "pytorch_model.bin", tensors)
    assert converted(one, tmp_path / "2") == whole
    names = sorted(tensors)
    two = with_weights(tiny, tmp_path / "two", "pytorch_model-00001-of-00002.bin", {n: tensors[n] for n in names[:9]})
    torch.save({n: tensors[n] for n in names[9:]}, two / "pytorch_model-00002-of-00002.bin")
    assert converted(two, tmp_path / "3") == whole
    old = with_weights(tiny, tmp_path / "old", "pytorch_model.bin", {})
    torch.save(tensors, old / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert converted(old, tmp_path / "4") == whole


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights(tiny: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    """From safetensors and from a pickle alike."""
    from safetensors.torch import save_file as save_tensors  # noqa: PLC0415

    arrays = load_file(tiny / "model.safetensors")
    tensors = {name: torch.from_numpy(array).to(dtype) for name, array in arrays.items()}
    pickled = converted(with_weights(tiny, tmp_path / "bin", "pytorch_model.bin", tensors), tmp_path / "0")
    folder = with_weights(tiny, tmp_path / "safe", "pytorch_model.bin", {})
    (folder / "pytorch_model.bin").unlink()
    save_tensors(tensors, folder / "model.safetensors")
    assert converted(folder, tmp_path / "1") == pickled


class Evil:
    """Runs a command when unpickled by an unguarded reader."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, (self.command,))


def test_a_pickle_cannot_run_code(tiny: Path, tmp_path: Path) -> None:
    folder = with_weights(tiny, tmp_path / "evil", "pytorch_model.bin", {})
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(f"touch {tmp_path}/ran")))
    done = run_convert(folder, tmp_path / "out")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


def replaced(folder: Path, **weights: np.ndarray) -> None:
    save_file({name.replace("__", "."): array for name, array in weights.items()}, folder / "model.safetensors")


def other_activation(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"activation_function": "gelu"}))


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "has no weights"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 100), "is no safetensors file"),
        (lambda folder: replaced(folder, model__shared__weight=np.ones((700, 64), np.float32)), "lacks model.encoder"),
        (lambda folder: replaced(folder, a=np.ones(3, np.float32)), "no token embeddings"),
        (lambda folder: replaced(folder, model__shared__weight=np.ones((700, 64), np.int8)), "holds I8 weights"),
        (other_activation, "activation 'gelu'"),
    ],
)
def test_a_broken_checkpoint_is_named(
    tiny: Path, tmp_path: Path, break_it: Callable[[Path], object], said: str
) -> None:
    shutil.copytree(tiny, tmp_path / "broken")
    break_it(tmp_path / "broken")
    done = CliRunner().invoke(main, [str(tmp_path / "broken"), str(tmp_path / "out")])
    assert done.exit_code == 1
    assert said in done.stderr.splitlines()[-1]


def test_converting_safetensors_loads_neither_torch_nor_transformers(tiny: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from translator.model.conversion import convert;"
        f"convert(Path({str(tiny)!r}), Path({str(tmp_path / 'out')!r}));"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_memory_is_that_of_the_result_and_the_embeddings(tmp_path: Path) -> None:
    """A checkpoint with many layers: 230 MB of them in float32 beside 13 MB of embeddings."""
    shape = Shape(width=512, ffn=2048, layers=8, heads=8, vocabulary=6500)
    write(tmp_path / "deep", shape)
    size = (tmp_path / "deep" / "model.safetensors").stat().st_size
    code = (
        "import resource, sys; from pathlib import Path; from translator.model.conversion import convert;"
        "import ctranslate2.converters, tokenizers;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        f"convert(Path({str(tmp_path / 'deep')!r}), Path({str(tmp_path / 'out')!r}));"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert int(done.stdout) < 0.6 * size


async def test_a_ready_folder_is_taken_as_it_is(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELVIEW_CACHE", str(tmp_path))
    first = await prepare(str(tiny))
    assert await prepare(str(first)) == first
    assert await prepare(str(tiny)) == first
    with pytest.raises(ModelError, match="no model folder"):
        await prepare("./nowhere")


async def test_a_conversion_that_is_stopped_leaves_nothing(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELVIEW_CACHE", str(tmp_path))
    stopped = asyncio.create_task(prepare(str(tiny)))
    while not list((tmp_path / "translator").glob(".converting-*")):  # noqa: ASYNC110  # another process makes it
        await asyncio.sleep(0.001)
    stopped.cancel()
    await asyncio.gather(stopped, return_exceptions=True)
    assert [path for path in (tmp_path / "translator").glob("*") if path.is_dir()] == []
    assert ctranslate2.contains_model(str(await prepare(str(tiny))))


def test_random_weights_give_doubts_not_errors(tiny: Path, tmp_path: Path) -> None:
    assert converted(tiny, tmp_path / "model")
    engine = Engine(tmp_path / "model", device="cpu", threads=1)
    texts = ["A red car.", "日本", "x", "</s>", "12 %, or 13?", "a " * 150]
    jobs = [Job(text, "eng_Latn", code, engine.tokenize(text)) for text in texts for code in ("fra_Latn", "hin_Deva")]
    results = [with_checks(engine.translate, Thresholds())([job])[0] for job in jobs]
    assert all(result.issues for result in results)
    assert not any(result.failed for result in results)
