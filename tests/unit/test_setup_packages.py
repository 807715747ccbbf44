"""How `make setup` installs: pip's settings handed on to uv, pip where uv does not do, reasons in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.package_installer import Installer, InstallError, pip_alone, pip_settings, uv_environment, uv_error

LISTED = r"""
:env:.cert='/certificates.pem'
:env:.find-links='/wheels /more/wheels'
:env:.disable-pip-version-check='1'
freeze.timeout='10'
global.cert='/older.pem'
global.extra-index-url='\nhttps://user:secret@one.test/simple\nfile:///two/simple'
global.index-url='https://zero.test/simple'
global.timeout='60'
install.cert='/of-install.pem'
install.index-url='https://first.test/simple'
install.trusted_host='one.test'
"""


def test_pips_settings_come_from_its_files_and_the_environment_in_pips_order() -> None:
    settings = pip_settings(LISTED)
    assert settings["cert"] == ["/certificates.pem"]
    assert settings["index-url"] == ["https://first.test/simple"]
    assert settings["find-links"] == ["/wheels", "/more/wheels"]
    assert settings["extra-index-url"] == ["https://user:secret@one.test/simple", "file:///two/simple"]
    assert settings["timeout"] == ["60"]
    assert settings["trusted-host"] == ["one.test"]
    assert pip_settings("nonsense\nglobal.index-url=not quoted\n") == {}


def test_uv_is_told_what_pip_was_told() -> None:
    told = uv_environment(pip_settings(LISTED), {"HOME": "/home/me"}, ["https://torch.test/cpu"])
    assert told["UV_DEFAULT_INDEX"] == "https://first.test/simple"
    assert told["UV_INDEX"].split() == [
        "https://user:secret@one.test/simple",
        "file:///two/simple",
        "https://torch.test/cpu",
    ]
    assert told["UV_FIND_LINKS"] == "/wheels,/more/wheels"
    assert told["SSL_CERT_FILE"] == "/certificates.pem"
    assert told["UV_HTTP_TIMEOUT"] == "60"
    assert told["UV_INSECURE_HOST"] == "one.test"
    assert told["UV_SYSTEM_CERTS"] == "true"
    assert told["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert told["HOME"] == "/home/me"
    assert "UV_CONSTRAINT" not in told


def test_what_the_user_told_uv_comes_first_and_loses_no_index() -> None:
    own = {"UV_INDEX": "https://mine.test/simple", "SSL_CERT_FILE": "/mine.pem"}
    told = uv_environment(pip_settings(LISTED), own, ["https://torch.test/cpu"])
    assert told["SSL_CERT_FILE"] == "/mine.pem"
    assert told["UV_INDEX"] == "https://mine.test/simple https://torch.test/cpu"


def test_uvs_reason_is_one_line() -> None:
    said = [
        "Using Python 3.11\n",
        "  \N{MULTIPLICATION SIGN} No solution found when resolving dependencies:\n",
        "  ╰─▶ Because a is not\n",
    ]
    assert uv_error([*said, "      found, b cannot be used.\n"]) == (
        "No solution found when resolving dependencies: Because a is not found, b cannot be used."
    )
    assert uv_error(["error: no such file\n"]) == "no such file"
    assert uv_error([]) == "no message"


class Recorder:
    """An environment whose `uv` and `pip` are scripts of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        (folder / "bin").mkdir()
        self.python = folder / "bin" / "python"

    def programs(self, *, pip: str, uv: str | None, settings: str = "") -> None:
        """`pip` and `uv`: what each does, as shell commands; no uv, and pip cannot fetch it. `settings`: pip's own."""
        (self.folder / "settings").write_text(f"{settings}\n")
        config = f'if [ "$3" = config ]; then cat {self.folder}/settings; exit; fi'
        self._script(self.python, f'echo "pip $*" >> {self.folder}/calls; {config}; {pip}')
        if uv is not None:
            (self.folder / "uv" / "bin").mkdir(parents=True)
            self._script(self.folder / "uv" / "bin" / "uv", f'echo "uv $*" >> {self.folder}/calls; {uv}')

    def installer(self) -> Installer:
        return Installer(self.python, self.folder, self.folder / "log", self.said.append)

    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()

    @staticmethod
    def _script(path: Path, body: str) -> None:
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def test_uv_installs_where_it_can(recorder: Recorder) -> None:
    recorder.programs(pip="exit 1", uv="exit 0")
    recorder.installer().install("-e", ".[cpu]")
    assert recorder.calls()[-1] == f"uv pip install --python {recorder.python} -e .[cpu]"


def test_pip_installs_where_uv_cannot_be_had(recorder: Recorder) -> None:
    recorder.programs(pip="case $* in *--target*) exit 1;; esac", uv=None)
    recorder.installer().install("x", extra_indexes=["https://torch.test/cpu"])
    assert recorder.calls()[-1].endswith("install --extra-index-url https://torch.test/cpu x")
    assert any("uv cannot be had" in line for line in recorder.said)


def test_pip_tries_where_uv_stumbles(recorder: Recorder) -> None:
    recorder.programs(pip="exit 0", uv="echo 'error: unknown certificate'; exit 2")
    recorder.installer().install("x")
    assert recorder.calls()[-1].endswith("install x")
    assert any("unknown certificate" in line for line in recorder.said)


def test_pip_tries_where_uv_finds_no_package_because_an_index_refused_it(recorder: Recorder) -> None:
    """uv says of an index that answers 401 what it says of one that lacks the package."""
    said = "echo '  \N{MULTIPLICATION SIGN} No solution found: torch was not found in the package registry'; exit 1"
    recorder.programs(pip="exit 0", uv=said)
    recorder.installer().install("x")
    assert recorder.calls()[-1].endswith("install x")
    assert any("torch was not found" in line for line in recorder.said)


def test_where_uv_and_pip_both_fail_pips_reason_is_told(recorder: Recorder) -> None:
    pip = "echo 'ERROR: No matching distribution found for x'; exit 1"
    recorder.programs(pip=pip, uv="echo 'error: No solution found'; exit 1")
    with pytest.raises(InstallError, match=r"^No matching distribution found for x$"):
        recorder.installer().install("x")


@pytest.mark.parametrize("option", ["keyring-provider", "no-binary", "only-binary", "pre", "require-hashes"])
def test_pip_installs_where_it_was_told_what_uv_cannot_be_told(recorder: Recorder, option: str) -> None:
    recorder.programs(pip="exit 0", uv="exit 0", settings=f":env:.{option}='import'")
    recorder.installer().install("x")
    assert recorder.calls()[-1].endswith("install x")
    assert not any(call.startswith("uv ") for call in recorder.calls())
    assert any(option in line for line in recorder.said)


def test_settings_that_are_off_or_without_effect_keep_uv() -> None:
    settings = pip_settings(
        "global.pre='false'\ninstall.no-binary=''\n:env:.keyring-provider='disabled'\n:env:.no-cache-dir='1'\n:env:.no-input='true'"
    )
    assert settings
    assert pip_alone(settings) == []
    assert pip_alone(pip_settings(LISTED)) == []


@pytest.mark.parametrize(("value", "flags"), [("1", ["--no-index"]), ("on", ["--no-index"]), ("false", [])])
def test_uv_is_told_to_ask_no_index(recorder: Recorder, value: str, flags: list[str]) -> None:
    recorder.programs(pip="exit 1", uv="exit 0", settings=f"global.no-index='{value}'")
    recorder.installer().install("x")
    assert recorder.calls()[-1].split()[5:] == [*flags, "x"]


def test_a_failing_install_is_one_line_that_names_the_cause(tmp_path: Path) -> None:
    installer = Installer(Path(sys.executable), tmp_path, tmp_path / "setup.log", print)
    with pytest.raises(InstallError, match=r"^.*nothing-here[^\n]*$"):
        installer.pip("install", "--no-index", "./nothing-here.whl", doing="installing")
    assert "nothing-here" in (tmp_path / "setup.log").read_text()


def test_pip_lists_its_settings_as_they_are_read_here() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env={"PIP_FIND_LINKS": "/wheels /more", "PIP_CONFIG_FILE": "/dev/null", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert pip_settings(listed.stdout)["find-links"] == ["/wheels", "/more"]
