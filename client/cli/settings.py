"""The settings of a batch run: command line, else environment (`BABELVIEW_*`), else default."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from client.cli.command import ARGUMENTS, PREFIX, Command, Option, invoke, typed
from client.cli.options import BATCH_OPTIONS, SAMPLING
from client.cli.ray_options import check_ray
from client.cli.values import SCENES
from client.endpoints.keys import API_KEY, OPENAI_KEY, TRANSLATOR_KEY, endpoint_key, translator_key
from client.errors import UsageError
from client.hints import install, nearest
from client.media.kinds import Animated, Kind
from client.media.sampling import FRAMES, Fit, Sampling
from client.sources.manifest import is_manifest
from client.sources.source import public
from client.tasks.steps import (
    DEFAULT_WINDOW_S,
    LONGEST_SCENE_S,
    SHORTEST_SCENE_S,
    SHORTEST_WINDOW_S,
    audio,
    scenes,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from client.api.options import Options
    from client.api.session import Session
    from client.media.fork_server import ForkServer
    from client.tasks.steps import Over

SessionType = TypeVar("SessionType", bound="Session")

OTHER_VARIABLES = frozenset(
    f"{PREFIX}_{name}"
    for name in (
        *("API_KEY", "API_KEYS", "PROFILE", "HOST", "PORT", "LOG_DIR", "ENCODER_CACHE_MIB", "CACHE"),
        *("ADDRESS", "METRICS_KEY", "CORS", "HEARTBEAT", "JSON_STRING_BYTES", "JSON_ITEMS", "LLAMA_TOOL_PARSER"),
        *("SPEECH", "ANY_VLLM", "WEBHOOK_KEY", "CLUSTER_ENGINES_KEY"),
    )
)
"""Variables that are no options of the client: its key, and those of the server and of its containers."""
OF_OTHERS = (f"{PREFIX}_TRANSLATOR_", f"{PREFIX}_CAPTIONER_")
"""How the variables of the translator and of the captioner begin, one for each option, and one with a key."""

_DESCRIPTION = """\
Describe folders of pictures and videos in many languages.

The five that most people need:
  babelview batch ./ads                              describe a folder, in four languages
  babelview batch ./ads --tasks describe,tags        more tasks, one look at each file
  babelview batch a.mp4 --question "What is sold?"   a question of your own
  babelview batch ./ads --languages ""               no translation
  babelview batch ./ads --redo failed                try again what was refused

Run it again at any time, also after Ctrl-C or a crash: only what is missing is done. Results are in
captions/ (--output): results.json for all that this folder knows, ledger.db for the answers themselves.
"""
_EPILOG = f"""\
Options can be set in the environment too ({PREFIX}_CONCURRENCY=16 stands for --concurrency 16), but for those
that say what a single run is about: --manifest, --include, --exclude, --question, --redo. The key of the
endpoint, if it needs one, comes from {API_KEY}, else from {OPENAI_KEY}: never from an option; that of the
translator from {TRANSLATOR_KEY}.

Another OpenAI endpoint instead of Babelview's own server:
  {OPENAI_KEY}=... babelview batch ./ads --base-url https://api.openai.com/v1 --model gpt-4o-mini

python -m client.batch is the same command. Exit code: 0 all done, 1 some failed or had no prompt,
2 wrong usage, 130 interrupted.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a run can be told."""

    paths: list[str]
    """Folders, files and URLs."""
    manifests: list[str]
    column: str | None
    include: list[str]
    exclude: list[str]
    max_download_bytes: int
    base_url: str
    translator: str
    languages: tuple[str, ...]
    glossary: Path | None
    tasks: list[str]
    questions: list[str]
    prompts: Path | None
    output: Path
    output_uri: str
    """The same, as it was given: with `ray` it may be a URL."""
    formats: list[str]
    only_run: bool
    report: bool
    thumbnails: bool
    concurrency: int
    loaders: int
    sampling: Sampling
    animated: Animated
    frames_as: str
    temperature: float
    max_tokens: int | None
    """Of an answer, whatever its prompt says."""
    models: dict[Kind, str]
    text_model: str | None
    speech_model: str
    merge_characters: int
    window: Over | None
    """What tasks over time ask about, where it is not the default."""
    hear: bool | None
    """Whether what is said goes into prompts about videos; None: see `client.cli.listening`."""
    sound: Over | None
    """What tasks about sound hear, where it is not the default."""
    wait_s: float
    timeout_s: float
    ask_once: bool
    redo: str | None
    ray: str | None
    """The cluster that it runs on, if it does."""
    own_loaders: bool
    """Whether somebody said how many."""
    dry_run: bool
    prices: tuple[float, float] | None
    """Prices of a million tokens, in and out."""
    quiet: bool
    log_file: Path | None
    api_key: str | None
    translator_key: str | None
    command_line: str
    """What the user typed, to be typed again, after the variables that were read; without keys and URLs' passwords."""
    warnings: list[str]
    """Lines to be shown about odd variables in the environment."""

    def options(self) -> Options:
        """What is asked, and how files are looked at."""
        return {
            "tasks": self.tasks,
            "questions": self.questions,
            "languages": self.languages,
            "prompts": self.prompts,
            "window": self.window,
            "hear": bool(self.hear),
            "sound": self.sound,
            "sampling": self.sampling,
            "animated": self.animated,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "merge_characters": self.merge_characters,
            "ask_once": self.ask_once,
        }

    def session(self, made: type[SessionType], fork_server: ForkServer | None = None) -> SessionType:
        """The servers, and how they are asked, as a session of this type.

        Raises:
            UsageError: the glossary cannot be read, or the environment names a proxy that cannot be used.
        """
        return made(**self.session_settings(), fork_server=fork_server)

    def session_settings(self) -> dict[str, Any]:
        """The arguments of a session."""
        return {
            "base_url": self.base_url,
            "api_key": self.api_key,
            "translator": self.translator,
            "translator_key": self.translator_key,
            "image_model": self.models[Kind.IMAGE],
            "video_model": self.models[Kind.VIDEO],
            "text_model": self.text_model,
            "speech_model": self.speech_model,
            "frames_as": self.frames_as,
            "glossary": self.glossary,
            "concurrency": self.concurrency,
            "loaders": self.loaders,
            "timeout_s": self.timeout_s,
            "wait_s": self.wait_s,
            "max_download_bytes": self.max_download_bytes,
        }


def batch_command(run: Callable[[Settings], Any]) -> Command:
    """The command `batch`, which hands its settings to `run`."""

    def callback(**given: Any) -> Any:
        return run(settings_of(click.get_current_context(), given))

    return Command(
        "batch",
        params=[click.Argument(["paths"], nargs=-1, metavar="PATH..."), *BATCH_OPTIONS],
        groups={"sampling": SAMPLING},
        callback=callback,
        help=_DESCRIPTION,
        epilog=_EPILOG,
    )


def read_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Read the command line and the environment.

    Raises:
        SystemExit: with code 2 and a message if they are wrong, with code 0 after `--help`.
    """
    settings = invoke(batch_command(lambda settings: settings), arguments, "babelview batch")
    if not isinstance(settings, Settings):
        raise SystemExit(settings)
    return settings


def settings_of(ctx: click.Context, given: dict[str, Any]) -> Settings:
    """The settings of the values that click has read.

    Raises:
        click.UsageError: two of them do not go together, or a key cannot be one.
    """
    paths, manifests = list(given["paths"]), list(given["manifest"])
    if not paths and not manifests:
        raise click.UsageError("give a PATH or a --manifest; --help shows how")
    spacing = _alternatives(ctx, given, "frames", "fps", "every")
    if typed(ctx, "max_frames") and not (spacing["fps"] or spacing["every"]):
        raise click.UsageError("--max-frames limits --fps and --every; without them --frames says how many are taken")
    if typed(ctx, "column") and not (manifests or any(map(is_manifest, paths))):
        raise click.UsageError("--column names a column of a manifest, and none is given")
    check_ray(ctx, given)
    price_in, price_out = given["price_in"], given["price_out"]
    try:
        keys = {"api_key": endpoint_key(), "translator_key": translator_key()}
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    return Settings(
        paths=paths,
        manifests=manifests,
        column=given["column"],
        include=list(given["include"]),
        exclude=list(given["exclude"]),
        max_download_bytes=given["max_download_mb"] * 1_000_000,
        base_url=given["base_url"],
        translator=given["translator"],
        languages=tuple(given["languages"]),
        glossary=given["glossary"],
        tasks=given["tasks"],
        questions=list(given["question"]),
        prompts=given["prompts"],
        output=Path(given["output"]),
        output_uri=given["output"],
        formats=given["format"],
        only_run=given["only_run"],
        report=given["report"],
        thumbnails=not given["no_thumbnails"],
        concurrency=given["concurrency"],
        loaders=given["loaders"],
        sampling=Sampling(
            spacing["frames"] or FRAMES,
            given["frame_size"],
            spacing["every"] or (1 / spacing["fps"] if spacing["fps"] else None),
            given["max_frames"],
            Fit(given["fit"]),
        ),
        animated=Animated(given["animated"]),
        frames_as=given["frames_as"],
        temperature=given["temperature"],
        max_tokens=given["max_tokens"],
        models={
            Kind.IMAGE: given["model"] or given["image_model"],
            Kind.VIDEO: given["model"] or given["video_model"],
        },
        text_model=given["text_model"],
        speech_model=given["speech_model"],
        merge_characters=given["merge_characters"],
        window=_window(ctx, given),
        hear=given["hear"],
        sound=_sound(given),
        wait_s=given["wait"],
        timeout_s=given["timeout"],
        ask_once=given["ask_once"],
        redo=given["redo"],
        ray=given["ray"],
        own_loaders=ctx.get_parameter_source("loaders") is not ParameterSource.DEFAULT,
        dry_run=given["dry_run"],
        prices=None if price_in is price_out is None else (price_in or 0.0, price_out or 0.0),
        quiet=given["quiet"],
        log_file=given["log_file"],
        **keys,
        command_line=_command_line(ctx),
        warnings=_unknown_variables(ctx.command),
    )


def _sound(given: dict[str, Any]) -> Over | None:
    """What tasks about sound hear; None: what they usually do."""
    found = audio(given["audio_track"], words=given["word_times"])
    return None if found == audio() else found


def _window(ctx: click.Context, given: dict[str, Any]) -> Over | None:
    """What tasks over time ask about; None: windows as they usually are.

    Raises:
        click.UsageError: options do not go together, something would be left out, or windows are too short.
    """
    length, stride_s, shortest_s, longest_s = (given[name] for name in ("window", "stride", "min_scene", "max_scene"))
    if length == SCENES:
        if typed(ctx, "stride"):
            raise click.UsageError("--stride is for windows of one length; scenes follow each other")
        return _scenes(shortest_s or SHORTEST_SCENE_S, longest_s or LONGEST_SCENE_S)
    if typed(ctx, "min_scene") or typed(ctx, "max_scene"):
        raise click.UsageError("--min-scene and --max-scene are for --window scenes")
    if length is None and stride_s is None:
        return None
    for option, given_s in (("--window", length), ("--stride", stride_s)):
        if given_s is not None and given_s < SHORTEST_WINDOW_S:
            raise click.UsageError(f"{option} must be {SHORTEST_WINDOW_S} or more seconds, not {given_s:g}")
    length_s = length or DEFAULT_WINDOW_S
    if stride_s and stride_s > length_s:
        raise click.UsageError(f"--stride {stride_s:g} leaves out what is between windows of {length_s:g} s (--window)")
    return windows(length_s, stride_s)


def _scenes(shortest_s: float, longest_s: float) -> Over:
    if min(shortest_s, longest_s) < SHORTEST_WINDOW_S:
        raise click.UsageError(f"--min-scene and --max-scene must be {SHORTEST_WINDOW_S} or more seconds")
    if longest_s < shortest_s:
        raise click.UsageError(f"--max-scene {longest_s:g} is less than --min-scene {shortest_s:g}")
    if not (find_spec("scenedetect") and find_spec("cv2")):
        raise click.UsageError(f"--window scenes needs PySceneDetect: {install('scenes')}")
    return scenes(shortest_s, longest_s)


def _command_line(ctx: click.Context) -> str:
    """The command as a shell takes it, in any environment: `BABELVIEW_OUTPUT=here babelview batch ads`."""
    query = ctx.params["base_url"].partition("?")[2]

    def shown(text: str) -> str:
        """Without passwords in URLs, and without the endpoint's query, which may hold a key."""
        return public(text).replace(f"?{query}", "?...") if query else public(text)

    read = [
        f"{option.variable}={shlex.quote(shown(os.environ[option.variable]))}"
        for option in ctx.command.params
        if isinstance(option, Option)
        and option.variable
        and ctx.get_parameter_source(option.name or "") is ParameterSource.ENVIRONMENT
    ]
    return " ".join([*read, shlex.join([*ctx.command_path.split(), *map(shown, ctx.meta[ARGUMENTS])])])


def _alternatives(ctx: click.Context, given: dict[str, Any], *names: str) -> dict[str, Any]:
    """The values of options of which at most one may be set; those of the command line win over the environment's."""
    on_line = [name for name in names if typed(ctx, name)]
    chosen = on_line or [name for name in names if given[name] is not None]
    if len(chosen) > 1:
        flags = " and ".join(f"--{name}" for name in chosen)
        raise click.UsageError(f"{flags} cannot be combined: choose one")
    return {name: given[name] if name in chosen else None for name in names}


def _unknown_variables(command: click.Command) -> list[str]:
    """A warning for each `BABELVIEW_*` variable that means nothing."""
    options = [*BATCH_OPTIONS, *command.params]  # what is set for batches is no mistake
    known = {option.variable for option in options if isinstance(option, Option) and option.variable}
    warnings: list[str] = []
    names = [variable.removeprefix(f"{PREFIX}_") for variable in known]  # what all begin with tells none apart
    for name in sorted(os.environ):
        others = name in OTHER_VARIABLES or name.startswith(OF_OTHERS)
        if name.startswith(f"{PREFIX}_") and name not in known and not others:
            near = nearest(name.removeprefix(f"{PREFIX}_"), names)
            meant = f": did you mean {PREFIX}_{near}?" if near else " (see --help)"
            warnings.append(f"warning: {name} is set but is no setting of this command{meant}")
    return warnings
