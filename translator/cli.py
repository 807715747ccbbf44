"""The command `translate`, which serves translations; `python -m translator` and `babelview translate` are this.

Nothing heavy is imported before the arguments are parsed.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from translator.command import Option, run
from translator.settings import KEYS_VARIABLE, SECOND_OPINION_KEY_VARIABLE, Settings
from translator.text import scripts as writing_systems

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = """\b
Examples:
  babelview translate                                  NLLB-200 600M, from the hub on first use
  babelview translate --model demo                     the tiny model that comes with Babelview
  babelview translate --model ./nllb-3.3B --device cuda --replicas 2
  babelview translate --model google/madlad400-3b-mt   MADLAD-400, which may be used commercially
  babelview translate --model facebook/nllb-200-1.3B --beam-size 1 --port 9003
  BABELVIEW_TRANSLATOR_API_KEY=secret1,secret2 babelview translate --host 0.0.0.0

\b
Ask it, several texts and languages at once, with a verdict per sentence:
  curl localhost:8003/v1/translations -H 'Content-Type: application/json' \\
    -d '{"texts": ["It has two scenes."], "source": "en", "targets": ["fr", "hin_Deva"]}'
or as LibreTranslate (its clients work unchanged; a form does, too), or as nllb-serve:
  curl localhost:8003/translate -d q='It has two scenes.' -d source=auto -d target=fr
  curl localhost:8003/translate -d source='It has two scenes.' -d src_lang=eng_Latn -d tgt_lang=fra_Latn
  curl localhost:8003/languages; curl localhost:8003/metrics

Languages: FLORES-200 codes, BCP-47 tags and ISO 639 codes (fra_Latn, fr-CA, fra). With keys in the environment every
request needs one: "Authorization: Bearer KEY", or LibreTranslate's field api_key. SIGTERM finishes what was accepted.

Every option can also be set in the environment: BABELVIEW_TRANSLATOR_MODEL, BABELVIEW_TRANSLATOR_BEAM_SIZE and so on.
A checkpoint is converted for CTranslate2 on first use, into $BABELVIEW_CACHE (default ~/.cache/babelview).
"""

_POSITIVE = click.IntRange(min=1)


class _Scripts(click.ParamType[tuple[str, ...]]):
    """Codes of writing systems with commas between them."""

    name = "codes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split at the commas; a code that no language of NLLB has is refused."""
        if isinstance(value, tuple):
            return value
        codes = tuple(code.strip() for code in str(value).split(",") if code.strip())
        known = writing_systems.known()
        if unknown := [code for code in codes if code not in known]:
            self.fail(f"no script {unknown[0]!r}: choose of {', '.join(known)}", param, ctx)
        return codes


class _Url(click.ParamType[str]):
    """An address of http or https."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take an address as it is; another scheme, or none, is refused."""
        parts = urlsplit(str(value))
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            self.fail(f"{value!r} is no address such as http://127.0.0.1:8000/v1", param, ctx)
        return str(value)


_option = partial(click.option, cls=Option)


@click.command(
    "translate",
    short_help="Serve translations with NLLB-200 or MADLAD-400.",
    epilog=EXAMPLES,
    context_settings={
        "auto_envvar_prefix": "BABELVIEW_TRANSLATOR",
        "show_default": True,
        "max_content_width": 120,
        "help_option_names": ["-h", "--help"],
    },
)
@_option(
    "--model",
    default=Settings.model,
    help="Checkpoint folder, CTranslate2 folder, hub name, or 'demo'.",
    metavar="MODEL",
)
@_option("--host", default=Settings.host, help="Address to listen on.", metavar="HOST")
@_option("--port", type=click.IntRange(0, 65535), metavar="N", default=Settings.port, help="0 takes any free one.")
@_option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default=Settings.device)
@_option("--compute-type", default=Settings.compute_type, help="Of CTranslate2, such as int8_float16.", metavar="TYPE")
@_option("--threads", type=_POSITIVE, metavar="N", show_default="up to 4", help="CPU threads of a batch.")
@_option(
    "--replicas",
    type=_POSITIVE,
    metavar="N",
    show_default="on CPU as many as cores have threads for, up to 4; on CUDA 1",
    help="Batches that run at once.",
)
@_option("--beam-size", type=_POSITIVE, metavar="N", default=Settings.beam_size, help="1 is greedy and quicker.")
@_option(
    "--keep",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Terms that stay in every translation (brands, slogans), one a line, or a table (.csv, .tsv) with columns "
    "term, fr, de ... of set translations, or .json as requests have it.",
)
@_option(
    "--second-opinion",
    metavar="URL",
    type=_Url(),
    help="An OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1, whose model is asked to translate sentences "
    f"that stay doubtful; kept if the checks like it better. Its key: {SECOND_OPINION_KEY_VARIABLE}.",
)
@_option(
    "--second-opinion-model",
    default=Settings.second_opinion_model,
    metavar="NAME",
    help="The model there.",
)
@_option(
    "--scripts",
    type=_Scripts(),
    default=",".join(Settings.scripts),
    metavar="CODES",
    help="Writing systems of most translations, as the languages' codes end: into these, and Latin, only tokens of "
    "these are searched, which is quicker; other languages work as before; '' searches all.",
)
@_option(
    "--batch-tokens",
    type=_POSITIVE,
    metavar="N",
    show_default="512 on CPU, 1024 if greedy, 8192 on CUDA",
    help="Source tokens in a batch.",
)
@_option("--queue", type=_POSITIVE, metavar="N", default=Settings.queue, help="Sentences that may wait.")
@_option(
    "--cache-mb",
    type=click.IntRange(min=0),
    metavar="N",
    default=Settings.cache_mib,
    help="Memory for finished sentences.",
)
@_option("--max-body-mb", type=_POSITIVE, metavar="N", default=Settings.max_body_mib, help="Largest request.")
@_option("--max-texts", type=_POSITIVE, metavar="N", default=Settings.max_texts, help="Texts in a request.")
@_option("--max-chars", type=_POSITIVE, metavar="N", default=Settings.max_chars, help="Characters in a request.")
@_option("--connections", type=_POSITIVE, metavar="N", default=Settings.connections, help="Open at the same time.")
@_option("--body-timeout", type=float, default=Settings.body_timeout_s, metavar="SECONDS", help="For a body to arrive.")
@_option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    help="Let the web pages of an origin ask, such as https://example.org, or '*'; may be given several times.",
)
@_option("--no-key", is_flag=True, help="Listen beyond loopback without an API key.")
@_option("--grace", type=float, default=Settings.grace_s, metavar="SECONDS", help="To finish requests on exit.")
@_option("--log-level", type=click.Choice(["debug", "info", "warning"]), default=Settings.log_level)
@click.pass_context
def translate(context: click.Context, /, **options: Any) -> None:
    """Serve translations over HTTP: NLLB-200 or MADLAD-400, sentence by sentence, each answer with a verdict.

    Ends with exit code 0 after a clean stop, 1 when the service cannot run, 2 for wrong usage,
    130 for Ctrl-C before it runs.
    """
    settings = make_settings(**options)
    if settings.open_to_strangers:
        raise click.UsageError(
            f"--host {settings.host} lets others in: set {KEYS_VARIABLE} in the environment, or say --no-key"
        )
    context.exit(_run(settings))


def make_settings(**options: Any) -> Settings:
    """The settings that the options (by click's names, None for those left out) and the environment's keys ask for."""
    renamed = {
        "cache_mb": "cache_mib",
        "max_body_mb": "max_body_mib",
        "body_timeout": "body_timeout_s",
        "grace": "grace_s",
        "cors": "origins",
    }
    given = {renamed.get(name, name): value for name, value in options.items() if value is not None}
    keys = tuple(key for part in os.environ.get(KEYS_VARIABLE, "").split(",") if (key := part.strip()))
    return Settings(keys=keys, second_opinion_key=os.environ.get(SECOND_OPINION_KEY_VARIABLE, ""), **given)


def _run(settings: Settings) -> int:
    """Serve until told to stop; the exit code."""
    try:
        from translator.service import run  # noqa: PLC0415  (heavy: after the arguments)
    except ImportError as error:
        click.echo(f"error: {error}: pip install -e '.[translator]' in Babelview's own folder", err=True)
        return 1
    return run(settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in this process; the exit code."""
    return run(translate, arguments, "python -m translator")
