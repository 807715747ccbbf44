"""The command that turns an NLLB checkpoint of transformers into a CTranslate2 model.

    python -m translator.model.convert CHECKPOINT OUTPUT --quantization int8
    python -m translator.model.convert --download facebook/nllb-200-distilled-600M   # prints where it is

The service runs this in a process of its own, so that what conversion needs never loads into the service.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from translator.command import run


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.argument("checkpoint", type=click.Path(path_type=Path), required=False)
@click.argument("output", type=click.Path(path_type=Path), required=False)
@click.option("--quantization", default="int8", metavar="TYPE", help="Type of the stored weights.")
@click.option("--download", metavar="NAME", help="Only fetch this checkpoint from the hub, and print where it is.")
@click.pass_context
def main(
    context: click.Context, checkpoint: Path | None, output: Path | None, quantization: str, download: str | None
) -> None:
    """Convert CHECKPOINT, a folder of transformers, into the new folder OUTPUT for CTranslate2.

    The reason of a failure is the last line on stderr; the exit code is then 1.
    """
    if not download and not (checkpoint and output):
        raise click.UsageError("give CHECKPOINT and OUTPUT, or --download NAME")
    try:
        if download:
            from translator.model import hub  # noqa: PLC0415  (heavy: after the arguments)

            click.echo(hub.download(download))
        elif checkpoint and output:
            from translator.model.conversion import convert  # noqa: PLC0415  (heavy: after the arguments)

            convert(checkpoint, output, quantization)
    except ImportError as error:
        how = "pip install -e '.[convert]' in Babelview's own folder"
        click.echo(f"{error}: to convert this checkpoint, {how}", err=True)
        context.exit(1)
    except Exception as error:  # noqa: BLE001  (a model folder can be wrong in any way)
        click.echo(" ".join(str(error).split()) or type(error).__name__, err=True)
        context.exit(1)


if __name__ == "__main__":
    sys.exit(run(main, None, "python -m translator.model.convert"))
