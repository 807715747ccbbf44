"""A translation service in a process of its own: `python -m translator`."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

ONE_THREAD = {"BABELVIEW_TRANSLATOR_THREADS": "1", "BABELVIEW_TRANSLATOR_REPLICAS": "1"}
"""Two threads of so small a model take three times the CPU of one, which they spend waiting for each other."""


class Service:
    """A translation service that runs; its log as far as it is written."""

    def __init__(self, cache: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "translator", "--port", "0", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | ONE_THREAD | {"BABELVIEW_CACHE": str(cache)} | (environment or {}),
        )
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._news:
                self.log.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in the log, once it is written."""

        def found() -> re.Match[str] | None:
            return re.search(pattern, "".join(self.log))

        with self._news:
            assert self._news.wait_for(lambda: found() or self._ended, 180), self.log
        match = found()
        assert match, "".join(self.log)
        return match

    @property
    def url(self) -> str:
        return self.wait_for(r"listening on (http://\S+),").group(1)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self._reader.join(10)
        return status
