import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import transformers

from server.errors import UnknownVersionError, UnsupportedSettingError
from server.llama_vision.compat import check_version
from server.llama_vision.config import (
    MllamaConfig,
    accept_settings,
    max_tokens_per_picture,
    pictures_per_prompt,
    tiles_of,
)

# What matters here of the published 11B and 90B checkpoints' config.json, which is in the style of 2024.
PUBLISHED_TEXT = {
    "11B": {
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_hidden_layers": 40,
        "intermediate_size": 14336,
    },
    "90B": {
        "hidden_size": 8192,
        "num_attention_heads": 64,
        "num_hidden_layers": 100,
        "intermediate_size": 28672,
    },
}


def published(size: str, **more):
    layers = PUBLISHED_TEXT[size]["num_hidden_layers"]
    return {
        "architectures": ["MllamaForConditionalGeneration"],
        "model_type": "mllama",
        "image_token_index": 128256,
        "text_config": {
            **PUBLISHED_TEXT[size],
            "model_type": "mllama_text_model",
            "num_key_value_heads": 8,
            "vocab_size": 128256,
            "cross_attention_layers": list(range(3, layers, 5)),
            "rope_theta": 500000.0,
            "rope_scaling": {
                "factor": 8.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 8192,
                "rope_type": "llama3",
            },
            "torch_dtype": "bfloat16",
        },
        "vision_config": {
            "model_type": "mllama_vision_model",
            "image_size": 560,
            "patch_size": 14,
            "hidden_size": 1280,
            "vision_output_dim": 7680,
            "max_num_tiles": 4,
            "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
        },
        **more,
    }


@pytest.mark.parametrize("size", ["11B", "90B"])
def test_reads_published_configurations(tmp_path, size):
    (tmp_path / "config.json").write_text(json.dumps(published(size)))
    config = MllamaConfig.from_pretrained(tmp_path)
    assert config.is_encoder_decoder
    assert config.max_source_positions == max_tokens_per_picture(config.vision_config) == 6404
    assert config.text_config.rope_parameters["rope_theta"] == 500000.0
    assert config.text_config.rope_parameters["rope_type"] == "llama3"
    assert len(config.text_config.cross_attention_layers) == config.text_config.num_hidden_layers // 5
    assert [tiles_of(config.vision_config, index) for index in range(1, 9)] == [1, 2, 3, 4, 2, 4, 3, 4]


def test_keeps_fp8_settings_and_hides_those_of_bitsandbytes(tmp_path):
    fp8 = {"quant_method": "compressed-tensors", "format": "float-quantized"}
    nf4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    for folder, settings in (("fp8", fp8), ("nf4", nf4)):
        (tmp_path / folder).mkdir()
        content = published("11B", quantization_config=settings)
        (tmp_path / folder / "config.json").write_text(json.dumps(content))
    assert MllamaConfig.from_pretrained(tmp_path / "fp8").quantization_config == fp8
    hidden = MllamaConfig.from_pretrained(tmp_path / "nf4")
    assert getattr(hidden, "quantization_config", None) is None
    # vLLM reads the file once more and sets what it finds.
    hidden.quantization_config = nf4
    assert getattr(hidden, "quantization_config", None) is None


@pytest.mark.parametrize("version", ["0.32.0", "0.32.0+cpu", "0.32.0+cu130", "0.33.0"])
def test_accepts_the_versions_it_knows(version):
    check_version(version)


@pytest.mark.parametrize("version", ["0.31.0", "0.34.0", "0.32.1", "1.0", "dev"])
def test_refuses_other_versions_with_a_line_that_says_what_to_do(version):
    with pytest.raises(UnknownVersionError, match=rf"knows vLLM 0\.32\.0 and 0\.33\.0, this is {version}: install"):
        check_version(version)


@pytest.mark.parametrize(("limits", "expected"), [({}, 8), ({"image": 3}, 3), ({"image": 0}, 0)])
def test_eight_pictures_unless_told_otherwise(limits, expected):
    from vllm.config import MultiModalConfig  # noqa: PLC0415 - takes seconds, and workers need not all load it

    assert pictures_per_prompt(MultiModalConfig(limit_per_prompt=limits)) == expected


def settings(pictures: int = 8, batched_tokens: int = 8192, **changed):
    """What vLLM asks about, as a server of the published model has it."""
    cache = {"enable_prefix_caching": False, "kv_sharing_fast_prefill": False}
    parallel = dict.fromkeys(("pipeline", "decode_context", "prefill_context"), 1)
    groups = {
        "cache_config": cache,
        "parallel_config": {f"{kind}_parallel_size": size for kind, size in parallel.items()},
        "scheduler_config": {"max_num_batched_tokens": batched_tokens},
    }
    for values in groups.values():
        values |= {name: value for name, value in changed.items() if name in values}
    others = ("speculative_config", "kv_transfer_config", "ec_transfer_config", "lora_config")
    limit = SimpleNamespace(limit_per_prompt={"image": pictures}, get_limit_per_prompt=lambda _: pictures)
    published = MllamaConfig(vision_config={"image_size": 560})
    return SimpleNamespace(
        **{group: SimpleNamespace(**values) for group, values in groups.items()},
        **{name: changed.get(name) for name in others},
        model_config=SimpleNamespace(hf_config=published, multimodal_config=limit),
    )


@pytest.mark.parametrize(
    ("pictures", "batched_tokens", "keys"), [(8, 8192, 8192), (8, 6404, 6404), (1, 8192, 6404), (2, 20_000, 12_808)]
)
def test_as_many_keys_side_by_side_as_a_step_computes(pictures, batched_tokens, keys):
    accepted = settings(pictures, batched_tokens)
    accept_settings(accepted)
    assert accepted.model_config.hf_config.max_source_positions == keys


@pytest.mark.parametrize(
    ("changed", "option"),
    [
        ({"enable_prefix_caching": True}, "--enable-prefix-caching"),
        ({"speculative_config": object()}, "--speculative-config"),
        ({"kv_transfer_config": object()}, "--kv-transfer-config"),
        ({"ec_transfer_config": object()}, "--ec-transfer-config"),
        ({"pipeline_parallel_size": 2}, "--pipeline-parallel-size"),
        ({"decode_context_parallel_size": 2}, "--decode-context-parallel-size"),
        ({"prefill_context_parallel_size": 2}, "--prefill-context-parallel-size"),
        ({"kv_sharing_fast_prefill": True}, "--kv-sharing-fast-prefill"),
        ({"lora_config": object()}, "--enable-lora"),
        ({"pictures": 1602}, "--limit-mm-per-prompt"),
    ],
)
def test_refuses_settings_with_which_answers_would_be_wrong(changed, option):
    with pytest.raises(UnsupportedSettingError, match=option):
        accept_settings(settings(**changed))


def test_importing_the_plugin_is_light():
    heavy = "{'torch', 'vllm', 'transformers'}"
    code = f"import sys, server.llama_vision; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_transformers_finds_the_tokenizer_by_the_name_of_the_configuration():
    assert MllamaConfig.__name__ == transformers.MllamaConfig.__name__
