"""Install packages into the project's own environment: with uv where it can be had, else with pip.

uv takes a tenth of pip's time. It is installed by pip into a folder of its own inside the environment, and told what
pip has been told on this machine: indexes, links, constraints, certificates, proxy. Where pip has been told more than
that, pip installs; and where uv fails, for whatever reason, pip tries, because it may have a way to an index that uv
has not. Runs on the standard library alone.
"""

from __future__ import annotations

import ast
import os
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

UV = "uv>=0.9,<1"
SAY_EVERY_S = 8.0

UV_VARIABLE = {
    "index-url": ("UV_DEFAULT_INDEX",),
    "cert": ("SSL_CERT_FILE",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "default-timeout": ("UV_HTTP_TIMEOUT",),
    "timeout": ("UV_HTTP_TIMEOUT",),
    "proxy": ("HTTP_PROXY", "HTTPS_PROXY"),
}
"""pip's options of one value -> uv's variables for it."""
UV_LIST_VARIABLE = {
    "extra-index-url": ("UV_INDEX", " "),
    "constraint": ("UV_CONSTRAINT", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "find-links": ("UV_FIND_LINKS", ","),
}
"""pip's options of several values -> uv's variable, and what stands between the values there."""
WITHOUT_EFFECT = {
    "break-system-packages", "cache-dir", "compile", "config-file", "disable-pip-version-check", "exists-action", "log",
    "no-cache-dir", "no-color", "no-compile", "no-input", "no-python-version-warning", "no-warn-conflicts",
    "no-warn-script-location", "progress-bar", "quiet", "require-virtualenv", "resume-retries", "retries",
    "root-user-action", "verbose",
}  # fmt: skip
"""pip's options that change neither where packages come from nor which are chosen."""
OFF = {"", "0", "disabled", "f", "false", "n", "no", "off"}

ERROR_MARKS = ("\N{MULTIPLICATION SIGN}", "error:")
TREE_MARKS = ("╰─▶", "├─▶", "│")


class InstallError(Exception):
    """An installer failed; the message is its own reason, in one line."""


def pip_settings(listed: str) -> dict[str, list[str]]:
    """What `pip install` goes by, read from the output of `pip config list`: option -> its values.

    An environment variable comes before the section `[install]` of pip's files, and that before `[global]`, as in pip.
    """
    sections: dict[str, dict[str, list[str]]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        if section not in sections:
            continue
        try:
            text = str(ast.literal_eval(value))
        except (SyntaxError, ValueError):
            continue
        sections[section][option.replace("_", "-")] = text.split()
    return {**sections["global"], **sections["install"], **sections[":env:"]}


def uv_environment(
    settings: Mapping[str, Sequence[str]], own: Mapping[str, str], extra_indexes: Sequence[str] = ()
) -> dict[str, str]:
    """The environment for uv: `own`, and pip's `settings` as uv's variables, which no list of processes shows.

    What `own` says comes first. The best match of all indexes wins, as with pip, and the machine's own certificates
    are trusted.
    """
    variables = {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_SYSTEM_CERTS": "true",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "true",
    }
    for option, names in UV_VARIABLE.items():
        if values := settings.get(option):
            variables.update(dict.fromkeys(names, values[-1]))
    for option, (name, separator) in UV_LIST_VARIABLE.items():
        if values := settings.get(option):
            variables[name] = separator.join(values)
    variables |= own
    if extra_indexes:
        variables["UV_INDEX"] = " ".join([*variables.get("UV_INDEX", "").split(), *extra_indexes])
    return variables


def pip_alone(settings: Mapping[str, Sequence[str]]) -> list[str]:
    """The options among pip's `settings` that matter and that uv cannot be told: with these, only pip does it right."""
    told = {*UV_VARIABLE, *UV_LIST_VARIABLE, *WITHOUT_EFFECT, "no-index"}
    return sorted(option for option, values in settings.items() if option not in told and not _off(values))


def _off(values: Sequence[str]) -> bool:
    return " ".join(values).lower() in OFF


def uv_error(lines: Sequence[str]) -> str:
    """The reason that uv gave, as one line: its message from the first mark of an error on, without the marks."""
    for number, line in enumerate(lines):
        if line.lstrip().startswith(ERROR_MARKS):
            words = " ".join(lines[number:]).split()
            return " ".join(word for word in words if word not in (*ERROR_MARKS, *TREE_MARKS))
    return (lines or ["no message"])[-1].strip()


class Installer:
    """Installs into one environment, writes everything to a log, and says now and then what it is at.

    Args:
        python: the environment's interpreter, with pip.
        folder: where relative requirements begin.
        log: the file that all output is added to.
        say: gets a line of progress.
    """

    def __init__(self, python: Path, folder: Path, log: Path, say: Callable[[str], None]) -> None:
        self.python, self.folder, self.log, self.say = python, folder, log, say

    def install(self, *requirements: str, extra_indexes: Sequence[str] = ()) -> None:
        """Install with uv; with pip where uv cannot be had, cannot be told what pip was told, or fails.

        Raises:
            InstallError: pip failed, with the reason.
        """
        settings = pip_settings(self._pip_config())
        if options := pip_alone(settings):
            self.say(f"pip installs (slower than uv), as its settings say {', '.join(options)}")
        elif (uv := self._uv()) is None:
            self.say("uv cannot be had here, so pip installs (slower)")
        else:
            flags = [] if _off(settings.get("no-index", [])) else ["--no-index"]
            command = [str(uv), "pip", "install", "--python", str(self.python), *flags, *requirements]
            try:
                self._run(command, uv_environment(settings, os.environ, extra_indexes), "installing")
            except InstallError as error:
                self.say(f"uv could not do it, so pip tries (slower): {error}")
            else:
                return
        indexes = [word for index in extra_indexes for word in ("--extra-index-url", index)]
        self.pip("install", *indexes, *requirements, doing="installing")

    def pip(self, *arguments: str, doing: str) -> None:
        """Run pip.

        Raises:
            InstallError: pip failed, with its first error.
        """
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
        self._run(command, dict(os.environ), doing)

    def _uv(self) -> Path | None:
        """The program uv, installed if need be; None where that fails."""
        folder = self.python.parents[1] / "uv"
        program = folder / "bin" / "uv"
        if not program.exists():
            try:
                self.pip("install", "--quiet", "--no-deps", "--target", str(folder), UV, doing="fetching uv")
            except InstallError:
                return None
        return program if program.exists() else None

    def _pip_config(self) -> str:
        command = [str(self.python), "-m", "pip", "config", "list"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def _run(self, command: list[str], environment: dict[str, str], doing: str) -> None:
        started = last_said = time.monotonic()
        said: list[str] = []
        at = ""
        with (
            self.log.open("a", encoding="utf-8") as log,
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self.folder,
                env=environment,
                errors="replace",
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                said.append(line)
                words = line.split()
                if words and words[0] in ("Collecting", "Resolved", "Downloading", "Downloaded", "Prepared"):
                    at = " ".join(words[:3] if words[0] in ("Resolved", "Prepared") else words[:2])
                elif words and words[0] in ("Installing", "Building"):
                    at = "installing the packages"
                if time.monotonic() - last_said > SAY_EVERY_S:
                    last_said = time.monotonic()
                    self.say(f"{doing}: {last_said - started:.0f} s, {at[:100]}")
        if process.returncode:
            errors = [line.split("ERROR:", 1)[1].strip() for line in said if "ERROR:" in line]
            raise InstallError(errors[0] if errors else uv_error(said))
        self.say(f"{doing}: done in {time.monotonic() - started:.0f} s")
