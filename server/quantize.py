"""`babelview quantize` and `python -m server.quantize`: the command line of `server.quantized_checkpoint`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.command import CONTEXT, Command, run
from server.errors import PreflightError, QuantizeError
from server.exit_codes import INTERRUPTED
from server.signals import raise_interrupts

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP = """\
Make a quantised checkpoint of a picture or video model, without a GPU and without data.

SRC is the folder of a bf16, fp16, fp32 or NF4 checkpoint of Llama 3.2 Vision or LLaVA-NeXT-Video in safetensors files,
DST the folder to write. Linear layers of the text model become FP8 per output channel (fp8-dynamic), or four bits with
a scale for each 128 weights (w4a16); vision tower, projector, embeddings and lm_head stay as they are.

It works through one file at a time, so memory is bounded by the largest file, not by the model. A run that was
stopped goes on where it was when it is started again with the same arguments.

\b
  babelview quantize Llama-3.2-11B-Vision-Instruct Llama-3.2-11B-Vision-Instruct-FP8-dynamic
  babelview quantize --scheme w4a16 Llama-3.2-11B-Vision-Instruct Llama-3.2-11B-Vision-Instruct-W4A16
"""
FOLDER = click.Path(path_type=Path)


@click.command(
    "quantize", cls=Command, help=HELP, short_help="Quantize a checkpoint to 8 or 4 bits.", context_settings=CONTEXT
)
@click.argument("source", type=FOLDER, metavar="SRC")
@click.argument("target", type=FOLDER, metavar="DST")
@click.option(
    "--scheme",
    type=click.Choice(["fp8-dynamic", "w4a16"]),
    default="fp8-dynamic",
    show_default=True,
    help="Weights and activations of 8 bits, or weights of 4 bits and activations as they are.",
)
@click.option(
    "--load", is_flag=True, help="At the end, load DST in vLLM and generate one token (needs the memory to serve it)."
)
def quantize(source: Path, target: Path, scheme: str, load: bool) -> int:  # as click calls it
    """Quantise; returns the exit code: 0 done, 1 failed, 130 interrupted."""
    try:
        from server import quantization_schemes, quantized_checkpoint  # noqa: PLC0415  # load torch
    except ImportError as error:
        how = "pip install -e '.[gpu]' ('.[cpu]' without a GPU), or make setup, in Babelview's own folder"
        needed = f"{error.name} is not installed: {how}"
        raise PreflightError(needed) from error
    raise_interrupts()
    try:
        chosen = quantization_schemes.SCHEMES[scheme]
        quantized_checkpoint.quantize(source, target, report=click.echo, scheme=chosen)
    except BrokenPipeError:  # nobody reads what is printed
        raise
    except OSError as error:
        raise QuantizeError(str(error)) from error
    except KeyboardInterrupt:
        click.echo("stopped; start again with the same arguments to go on", err=True)
        return INTERRUPTED
    if load:
        click.echo(f"loaded in vLLM; it wrote {quantized_checkpoint.load_once(target)!r}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run(quantize, arguments, "python -m server.quantize")


if __name__ == "__main__":
    sys.exit(main())
