"""The translation service under load: what fails, how much memory it takes, and who waits for whom.

    python -m scripts.benchmarks.translator.load                                      # the demo model, a minute
    python -m scripts.benchmarks.translator.load --model ./random-600M --fixed-length --seconds 120 --clients 0
    python -m scripts.benchmarks.translator.load --seconds 10 --clients 16 --json load.json

Three parts, against one service in a process of its own: small requests alone; the same next to one huge request;
many clients with mixed sizes until SIGTERM, which must lose nothing that was accepted. Every sentence is new, so that
the cache answers none. Random weights want `--fixed-length` (see translator.fixed_length), or else they write until
the limit, and every sentence is tried again. Exit code 1 if a request failed in any way but 429, or was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from scripts.benchmarks.common.cli import natural, new_file, positive, run, seconds
from scripts.benchmarks.common.report import Report
from scripts.demo.world.scenes import all_sentences
from scripts.demo.world.translations import LANGUAGES

TARGETS = list(LANGUAGES)
FIXED_LENGTH = "scripts.benchmarks.translator.fixed_length"
WORDS = " ".join(all_sentences()).split()


@dataclass
class Outcome:
    """What became of requests; `took_s` are the times of answers with 200."""

    statuses: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """Requests that were answered neither well, nor with 429, nor, while it stopped, with 503."""
        return sum(n for status, n in self.statuses.items() if status not in ("200", "429", "503 stopping", "refused"))


class Service:
    """`python -m translator`, with its memory."""

    def __init__(self, model: str, arguments: list[str], log: Path, *, fixed_length: bool) -> None:
        """Start it; its log goes to `log`."""
        program = FIXED_LENGTH if fixed_length else "translator"
        command = [sys.executable, "-m", program, "--model", model, "--port", "0", *arguments]
        self._log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(command, stderr=file)
        self.peak = 0
        self.stopping = False

    async def ready(self) -> str:
        """The service's base URL, once the model has answered."""
        while True:
            said = self._log.read_text()
            if " is ready" in said:
                found = re.search(r"listening on (http://\S+),", said)
                assert found
                return found[1]
            if self.process.poll() is not None:
                raise SystemExit(f"the service ended:\n{said}")
            await asyncio.sleep(0.1)

    async def watch(self) -> None:
        """Keep the largest memory (RSS, MiB) that was seen."""
        process = psutil.Process(self.process.pid)
        while self.process.poll() is None:
            try:
                self.peak = max(self.peak, process.memory_info().rss >> 20)
            except psutil.NoSuchProcess:
                return
            await asyncio.sleep(0.2)

    async def stop(self) -> int:
        """Send SIGTERM and wait; returns the exit code."""
        self.stopping = True
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 600)


class Load:
    """Clients of one service."""

    def __init__(self, url: str, service: Service, seed: int) -> None:
        """Ask at `url`; the texts depend on `seed`."""
        self._url = url
        self._service = service
        self._rng = random.Random(seed)

    def sentence(self) -> str:
        """A sentence that has not been there before."""
        words = self._rng.choices(WORDS, k=self._rng.randint(4, 12))
        return f"{' '.join(words).strip('.').capitalize()} {self._rng.randrange(10**6)}."

    def texts(self, sentences: int) -> list[str]:
        """A text, or several if it is long."""
        made = [self.sentence() for _ in range(sentences)]
        return [" ".join(made[start : start + 20]) for start in range(0, sentences, 20)]

    async def ask(self, session: aiohttp.ClientSession, texts: list[str], targets: list[str], outcome: Outcome) -> None:
        """One request, and what became of it."""
        began = time.monotonic()
        body = {"texts": texts, "targets": targets}
        try:
            async with session.post(f"{self._url}/v1/translations", json=body) as response:
                answer = await response.json()
                status = str(response.status)
        except aiohttp.ClientConnectorError:
            status = "refused" if self._service.stopping else "cannot connect"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            status = f"lost: {type(error).__name__}"
        else:
            if status == "200":
                outcome.took_s.append(time.monotonic() - began)
                if len(answer["translations"]) != len(texts):
                    status = "incomplete"
            elif status == "503" and self._service.stopping:
                status = "503 stopping"
            elif status == "429":
                await asyncio.sleep(float(response.headers["Retry-After"]) / 4)
        outcome.statuses[status] += 1

    async def small(self, duration_s: float) -> Outcome:
        """Send requests of two sentences, one after the other, for so many seconds."""
        outcome, end = Outcome(), time.monotonic() + duration_s
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < end:
                await self.ask(session, self.texts(2), TARGETS[:1], outcome)
        return outcome

    async def huge(self, sentences: int, outcome: Outcome) -> None:
        """Thousands of sentences, again and again until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(None)) as session:
            while True:
                await self.ask(session, self.texts(sentences), TARGETS[:1], outcome)

    async def mixed(self, outcome: Outcome) -> None:
        """A client that sends something of any size, until the service has gone."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(None)) as session:
            while not outcome.statuses["refused"]:
                sentences = self._rng.choices((1, 3, 12, 300), (40, 35, 23, 2))[0]
                targets = self._rng.sample(TARGETS, self._rng.choice((1, 1, 3)))
                await self.ask(session, self.texts(sentences), targets, outcome)


def p95(took_s: list[float]) -> float:
    """The 95th percentile, in milliseconds."""
    return 1000 * sorted(took_s)[int(0.95 * len(took_s))]


async def load(args: argparse.Namespace) -> int:
    """Run all three parts; returns the exit code."""
    report = Report("python -m translator under load", "ctranslate2", "aiohttp")
    folder = Path(tempfile.mkdtemp(prefix="load-translator-"))
    service = Service(args.model, args.arguments, folder / "translator.log", fixed_length=args.fixed_length)
    try:
        url = await service.ready()
        watching = asyncio.create_task(service.watch())
        load = Load(url, service, args.seed)
        await load.small(1)
        at_rest = service.peak
        alone = await load.small(args.seconds / 3)
        big = Outcome()
        huge = asyncio.create_task(load.huge(args.huge, big))
        await asyncio.sleep(1)
        beside = await load.small(args.seconds / 3)
        huge.cancel()
        await asyncio.wait({huge})
        many = Outcome()
        clients = [asyncio.create_task(load.mixed(many)) for _ in range(args.clients)]
        began = time.monotonic()
        await asyncio.sleep(args.seconds if clients else 0)
        stopped = time.monotonic()
        status = await service.stop()
        ended = time.monotonic()
        await asyncio.gather(*clients)
        await watching
    finally:
        if service.process.poll() is None:
            service.process.kill()
    report.add("small request alone, p95", "ms", [p95(alone.took_s)])
    report.add("small request next to a huge one, p95", "ms", [p95(beside.took_s)], [p95(alone.took_s)])
    if many.took_s:
        report.add(f"{args.clients} clients: answers", "a second", [many.statuses["200"] / (stopped - began)])
        report.add(f"{args.clients} clients: p95", "ms", [p95(many.took_s)])
    report.add("memory at most, against that at rest", "MiB", [service.peak], [at_rest])
    report.add("from SIGTERM to the end", "s", [ended - stopped])
    report.show(args.json)
    outcomes = {"alone": alone, "beside": beside, "huge": big, "mixed": many}
    for name, outcome in outcomes.items():
        said = ", ".join(f"{n} x {what}" for what, n in outcome.statuses.most_common())
        print(f"{name}: {said or 'none has ended'}")
    failed = sum(outcome.failures for outcome in outcomes.values())
    print(f"exit code of the service {status}, {failed} requests failed or were lost; log: {folder}/translator.log")
    return 1 if failed or status else 0


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="as python -m translator takes it (default: demo)")
    parser.add_argument("--seconds", type=seconds, default=60, help="of the mixed load; a third for the other parts")
    parser.add_argument("--clients", type=natural, default=64, help="0 leaves the third part out (default: 64)")
    parser.add_argument("--huge", type=positive, default=5000, help="sentences of the huge request (default: 5000)")
    parser.add_argument("--fixed-length", action="store_true", help="for a model with random weights")
    parser.add_argument("--seed", type=int, default=os.getpid(), help="of the texts (default: a new one)")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there, too")
    parser.add_argument("arguments", nargs="*", help="further arguments of python -m translator, after --")
    return asyncio.run(load(parser.parse_args()))


if __name__ == "__main__":
    run(main)
