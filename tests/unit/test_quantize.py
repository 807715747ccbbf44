import json
import shutil

import pytest
import torch
import transformers
from closed_pipe import CLOSED, nobody_reads
from compressed_tensors.compressors import compress_module
from compressed_tensors.quantization import (
    QuantizationConfig,
    QuantizationStatus,
    apply_quantization_config,
)
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import server.quantized_checkpoint as checkpoints
from server.engines.dummy import folder_files
from server.errors import QuantizeError
from server.profile import DEMO_MODELS
from server.quantization_schemes import FP8_DYNAMIC, SCHEMES, W4A16
from server.quantize import main
from server.quantized_checkpoint import quantize
from server.selftest.emulation import unpack_four_bits
from server.selftest.llama_toy import random_model, tiny_config, write_checkpoint, write_shards
from server.selftest.published_names import llama_name, llava_name
from server.sizing.memory import Model
from server.sizing.models import model_sizes
from tests.nf4_checkpoints import write_nf4


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    return write_checkpoint(folder, random_model(tiny_config()), dtype=torch.bfloat16, shards=3)


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    """LLaVA-NeXT-Video as published: `vision_tower.vision_model...`, `language_model.model...`."""
    folder = tmp_path_factory.mktemp("llava")
    text = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**text, "image_size": 32, "patch_size": 8, "projection_dim": 32}
    config = transformers.LlavaNextVideoConfig(
        text_config=transformers.LlamaConfig(**text, num_key_value_heads=2, vocab_size=128),
        vision_config=transformers.CLIPVisionConfig(**vision),
        image_token_index=126,
        video_token_index=127,
        architectures=["LlavaNextVideoForConditionalGeneration"],
    )
    model = transformers.LlavaNextVideoForConditionalGeneration(config)
    state = {}
    for name, tensor in model.state_dict().items():
        published = llava_name(name)
        state[published] = tensor.to(torch.float16).contiguous()
    write_shards(folder, state, 1)
    config.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"old weights")
    return folder


def tensors_of(folder):
    state = {}
    for path in sorted(folder.glob("*.safetensors")):
        state |= load_file(path)
    return state


def is_text_linear(name):
    return name.startswith("language_model.model.layers.") and "_proj." in name


@pytest.mark.parametrize("model", ["llama", "llava"])
def test_writes_the_published_layout(model, tmp_path, request):
    source = request.getfixturevalue(model)
    target = tmp_path / "fp8"
    lines = []
    quantize(source, target, report=lines.append)
    before, after = tensors_of(source), tensors_of(target)

    assert any(is_text_linear(name) for name in before)
    for name, tensor in before.items():
        if is_text_linear(name):
            assert after[name].dtype == torch.float8_e4m3fn
            assert after[name].shape == tensor.shape
            scale = after.pop(f"{name}_scale")
            assert scale.dtype == torch.bfloat16
            assert scale.shape == (tensor.shape[0], 1)
            error = (after[name].float() * scale.float() - tensor.float()).norm() / tensor.float().norm()
            assert error < 0.04
        else:
            assert after[name].dtype == tensor.dtype
            assert torch.equal(after[name], tensor)
    assert after.keys() == before.keys()

    settings = json.loads((target / "config.json").read_text())["quantization_config"]
    assert settings["quant_method"] == "compressed-tensors"
    assert settings["format"] == "float-quantized"
    assert settings["quantization_status"] == "compressed"
    [group] = settings["config_groups"].values()
    assert (group["weights"]["strategy"], group["input_activations"]["strategy"]) == ("channel", "token")
    assert group["input_activations"]["dynamic"] is True
    shards = sum(1 for _ in source.glob("*.safetensors"))
    assert [line.startswith(f"[{n}/{shards}]") for n, line in enumerate(lines[:-1], 1)] == [True] * shards


@pytest.mark.parametrize("model", ["llama", "llava"])
def test_four_bits_have_the_layout_of_compressed_tensors(model, tmp_path, request):
    source = request.getfixturevalue(model)
    target = tmp_path / "w4a16"
    assert main(["--scheme", "w4a16", str(source), str(target)]) == 0
    before, after = tensors_of(source), tensors_of(target)
    for name, tensor in before.items():
        if not is_text_linear(name):
            assert torch.equal(after.pop(name), tensor)
            continue
        values = unpack_four_bits(after, name)
        packed, scale, shape = (after.pop(f"{name}_{part}") for part in ("packed", "scale", "shape"))
        assert (packed.dtype, packed.shape) == (torch.int32, (tensor.shape[0], tensor.shape[1] // 8))
        assert (scale.dtype, scale.shape) == (torch.bfloat16, (tensor.shape[0], tensor.shape[1] // 128))
        assert shape.tolist() == list(tensor.shape)
        error = (values - tensor.float()).norm() / tensor.float().norm()
        assert error < 0.12
    assert not after

    settings = json.loads((target / "config.json").read_text())["quantization_config"]
    assert (settings["quant_method"], settings["format"]) == ("compressed-tensors", "pack-quantized")
    [group] = settings["config_groups"].values()
    assert (group["weights"]["num_bits"], group["weights"]["group_size"]) == (4, 128)
    assert group["weights"]["symmetric"] is True
    assert group["input_activations"] is None


@pytest.mark.parametrize("demo", ["llama-3.2-11b-vision-bf16", "llava-next-video-7b-bf16"])
def test_four_bits_are_counted_to_the_byte(demo, tmp_path):
    quantize(DEMO_MODELS / demo, tmp_path / "w4a16", lambda _: None, W4A16)
    held = sum(tensor.nbytes for tensor in tensors_of(tmp_path / "w4a16").values())
    assert model_sizes("it", tmp_path / "w4a16").weights() == held
    # As the shapes of published models are written, which have no files.
    config = json.loads((tmp_path / "w4a16" / "config.json").read_text())
    bare = {"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized"}}
    assert Model.of(config | bare).weights() == held
    written = json.loads(folder_files(config | bare)["config.json"])
    assert Model.of(written).scheme == Model.of(config).scheme


def test_rows_that_are_no_groups_are_refused(llama, tmp_path, capsys):
    source = tmp_path / "source"
    shutil.copytree(llama, source)
    shard = source / "model-00001-of-00003.safetensors"
    name = "language_model.model.layers.9.mlp.up_proj.weight"
    save_file(load_file(shard) | {name: torch.rand(4, 100)}, shard)
    assert main(["--scheme", "w4a16", str(source), str(tmp_path / "w4a16")]) == 1
    assert f"{name}: rows of 100 weights cannot be divided into groups of 128" in capsys.readouterr().err


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_checkpoint_in_nf4_is_what_it_stands_for(scheme, tmp_path):
    """Its parts lie in another file than the weight, as where a checkpoint is cut."""
    source, plain = tmp_path / "nf4", tmp_path / "plain"
    model = write_nf4(source, random_model(tiny_config(num_hidden_layers=2, cross_attention_layers=[1])))
    write_checkpoint(plain, model)
    state = load_file(source / "model.safetensors")
    (source / "model.safetensors").unlink()
    write_shards(source, state, 2)
    quantize(source, tmp_path / "from nf4", lambda _: None, SCHEMES[scheme])
    quantize(plain, tmp_path / "from plain", lambda _: None, SCHEMES[scheme])
    expected, actual = tensors_of(tmp_path / "from plain"), tensors_of(tmp_path / "from nf4")
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[name].float(), expected[name].float()) for name in expected)
    settings = json.loads((tmp_path / "from nf4" / "config.json").read_text())["quantization_config"]
    assert settings["quant_method"] == "compressed-tensors"


def test_a_checkpoint_in_nf4_that_lacks_a_part_is_told(tmp_path, capsys):
    source = tmp_path / "nf4"
    write_nf4(source, random_model(tiny_config(num_hidden_layers=2, cross_attention_layers=[1])))
    state = load_file(source / "model.safetensors")
    lacking = next(name for name in state if name.endswith("up_proj.weight.absmax"))
    del state[lacking]
    save_file(state, source / "model.safetensors")
    assert main([str(source), str(tmp_path / "fp8")]) == 1
    assert f"4-bit weights lack parts, download it again: {lacking.removesuffix('.weight.absmax')}" in (
        capsys.readouterr().err
    )


def test_a_run_does_not_go_on_with_another_scheme(llama, tmp_path, capsys):
    target = tmp_path / "half"
    target.mkdir()
    started = checkpoints.Source.open(llama).fingerprint(FP8_DYNAMIC)
    (target / checkpoints.PROGRESS).write_text(json.dumps(started))
    assert main(["--scheme", "w4a16", str(llama), str(target)]) == 1
    assert "start of another run" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["llama", "llava"])
def test_keeps_what_is_not_weights(model, tmp_path, request):
    source = request.getfixturevalue(model)
    quantize(source, tmp_path / "fp8", report=lambda _: None)
    kept = {path.name for path in source.iterdir()} - {"pytorch_model.bin"}
    assert {path.name for path in (tmp_path / "fp8").iterdir()} == kept
    for path in (tmp_path / "fp8").iterdir():
        if path.suffix != ".safetensors" and path.name not in {"config.json", checkpoints.INDEX}:
            assert path.read_bytes() == (source / path.name).read_bytes()


def test_the_index_names_every_tensor_in_its_file(llama, tmp_path):
    quantize(llama, tmp_path / "fp8", report=lambda _: None)
    index = json.loads((tmp_path / "fp8" / checkpoints.INDEX).read_text())
    found = {}
    for path in (tmp_path / "fp8").glob("*.safetensors"):
        with safe_open(path, "pt") as shard:
            found |= dict.fromkeys(shard.keys(), path.name)
    assert index["weight_map"] == found


def test_equals_what_compressed_tensors_makes_of_the_whole_model(llama, tmp_path):
    quantize(llama, tmp_path / "fp8", report=lambda _: None)
    settings = json.loads((tmp_path / "fp8" / "config.json").read_text())["quantization_config"]

    model = random_model(tiny_config()).to(torch.bfloat16)
    apply_quantization_config(
        model, QuantizationConfig.model_validate(settings | {"quantization_status": "initialized"})
    )
    for module in model.modules():
        if hasattr(module, "quantization_scheme"):
            largest = module.weight.float().abs().amax(1, keepdim=True)
            module.weight_scale.data = (largest / 448).to(torch.bfloat16)
            module.quantization_status = QuantizationStatus.FROZEN
            compress_module(module, "float-quantized")
    expected = {llama_name(name): tensor for name, tensor in model.state_dict().items()}
    actual = tensors_of(tmp_path / "fp8")
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[name].float(), expected[name].float()) for name in expected)


def test_a_stopped_run_goes_on_where_it_was(llama, tmp_path, monkeypatch):
    target = tmp_path / "fp8"
    done = []
    real = checkpoints.save_file

    def stop_at_second_file(tensors, path, **options):
        if done:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        real(tensors, path, **options)
        done.append(path)

    monkeypatch.setattr(checkpoints, "save_file", stop_at_second_file)
    assert main([str(llama), str(target)]) == 130
    assert not (target / "config.json").exists()
    first = target / "model-00001-of-00003.safetensors"
    time = first.stat().st_mtime_ns

    monkeypatch.setattr(checkpoints, "save_file", real)
    lines = []
    quantize(llama, target, report=lines.append)
    assert lines[0] == "[1/3] model-00001-of-00003.safetensors: done before"
    assert first.stat().st_mtime_ns == time
    quantize(llama, tmp_path / "at once", report=lambda _: None)
    for path in (tmp_path / "at once").iterdir():
        assert path.read_bytes() == (target / path.name).read_bytes()
    assert len(list(target.iterdir())) == len(list((tmp_path / "at once").iterdir()))


def test_who_reads_what_is_done_may_leave(llama, tmp_path, monkeypatch, capsys):
    with nobody_reads(monkeypatch):
        assert main([str(llama), str(tmp_path / "fp8")]) == CLOSED
    assert capsys.readouterr().err == ""


def test_does_not_go_on_with_the_start_of_another_run(llama, tmp_path, capsys):
    target = tmp_path / "fp8"
    target.mkdir()
    (target / checkpoints.PROGRESS).write_text('{"shards": {}}')
    assert main([str(llama), str(target)]) == 1
    assert "start of another run" in capsys.readouterr().err


@pytest.mark.parametrize(("scheme", "part"), [(FP8_DYNAMIC, ""), (W4A16, "_packed"), (W4A16, "_scale")])
def test_finds_a_damaged_file_of_the_first_attempt(llama, tmp_path, scheme, part):
    target = tmp_path / "quantised"
    quantize(llama, target, lambda _: None, scheme)
    checkpoint = checkpoints.Source.open(llama)
    (target / checkpoints.PROGRESS).write_text(json.dumps(checkpoint.fingerprint(scheme)))
    shard = target / checkpoint.shards[0]
    tensors = load_file(shard)
    stored = next(name for name in tensors if is_text_linear(name) and name.endswith(f".weight{part}"))
    damaged = stored.removesuffix(part)
    tensors[stored][3] = 0 if part != "_scale" else 1
    save_file(tensors, shard)
    with pytest.raises(QuantizeError, match=rf"{damaged} is not what it should be; delete the file"):
        quantize(llama, target, lambda _: None, scheme)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no readable config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "no readable config.json"),
        (lambda folder: edit(folder, architectures=["LlamaForCausalLM"]), "this script knows Mllama"),
        (lambda folder: edit(folder, quantization_config={}), "quantised already"),
        (lambda folder: (folder / "model-00002-of-00003.safetensors").unlink(), "lacks model-00002"),
    ],
)
def test_names_what_is_wrong_with_the_source(llama, tmp_path, capsys, damage, message):
    source = tmp_path / "source"
    shutil.copytree(llama, source)
    damage(source)
    assert main([str(source), str(tmp_path / "fp8")]) == 1
    assert message in capsys.readouterr().err


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_writes_only_to_a_folder_of_its_own(llama, tmp_path, capsys):
    assert main([str(llama), str(llama)]) == 1
    assert "DST is SRC" in capsys.readouterr().err
    (tmp_path / "precious.txt").write_text("mine")
    assert main([str(llama), str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err


def test_refuses_linear_layers_it_does_not_know(llama, tmp_path, capsys):
    source = tmp_path / "source"
    shutil.copytree(llama, source)
    shard = source / "model-00001-of-00003.safetensors"
    extra = {"language_model.model.layers.0.adapter.in_proj.weight": torch.rand(4, 4)}
    save_file(load_file(shard) | extra, shard)
    assert main([str(source), str(tmp_path / "fp8")]) == 1
    assert "adapter.in_proj.weight is a linear layer this script does not know" in capsys.readouterr().err


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_channel_of_zeros_stays_zero(dtype, scheme):
    weight = torch.randn(4, 256, dtype=dtype)
    weight[2] = 0
    state = SCHEMES[scheme].quantize_weight(weight)
    assert (state["weight_scale"] > 0).all()
    named = {f"it_{name.removeprefix('weight_')}": part for name, part in state.items()}
    values = unpack_four_bits(named, "it") if scheme == "w4a16" else state["weight"].float()
    assert (values[2] == 0).all()
    assert SCHEMES[scheme].is_quantized(weight, state)


def test_wrong_arguments_are_a_usage_error(capsys):
    assert main([]) == 2
    assert "SRC" in capsys.readouterr().err
