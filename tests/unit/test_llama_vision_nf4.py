import pytest
import torch

from server.llama_vision.nf4 import decode_nf4
from tests.nf4_checkpoints import pack_nf4


def pack(name: str, weight, *, nested: bool = False):
    parts, values = pack_nf4(weight, nested=nested)
    return {f"{name}.weight{part}": tensor for part, tensor in parts.items()}, values


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_decodes_packed_weights_and_passes_others_on(nested, backwards):
    torch.manual_seed(0)
    first, first_values = pack("layers.0.q_proj", torch.randn(32, 64), nested=nested)
    second, second_values = pack("layers.1.q_proj", torch.randn(16, 128), nested=nested)
    plain = {
        "norm.weight": torch.rand(8),
        "fc1.bias": torch.rand(8),
        "k_proj.weight": torch.rand(4, 4).to(torch.float8_e4m3fn),
        "k_proj.weight_scale": torch.rand(4, 1),
    }
    stored = list((first | plain | second).items())
    decoded = dict(decode_nf4(stored[::-1] if backwards else stored))

    assert decoded.keys() == {"layers.0.q_proj.weight", "layers.1.q_proj.weight", *plain}
    assert torch.equal(decoded["layers.0.q_proj.weight"], first_values)
    assert torch.equal(decoded["layers.1.q_proj.weight"], second_values)
    assert all(decoded[name] is tensor for name, tensor in plain.items())


def test_an_incomplete_weight_is_named():
    parts, _ = pack("layers.0.q_proj", torch.randn(32, 64))
    del parts["layers.0.q_proj.weight.absmax"]
    with pytest.raises(ValueError, match=r"layers\.0\.q_proj"):
        list(decode_nf4(parts.items()))
