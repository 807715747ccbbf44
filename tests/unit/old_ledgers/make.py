"""Makes `vN.sql` with the code of each version: run once, from the root, as `python -m tests.unit.old_ledgers.make`.

Each client is taken from the history, by the commit in COMMITS, and asks a fake endpoint, which refuses one picture.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from aiohttp import web  # noqa: E402
from fake_servers import FakeServers  # noqa: E402
from PIL import Image  # noqa: E402

from old_ledgers import OPTIONS, write_inputs  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMITS = {1: "2fa40d8", 2: "6de52f5", 3: "3a7417f", 4: "b15bd16", 5: "ef59fa6"}


async def refuse_one(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
    """A list of what is in the first picture, which has the least red, is refused."""
    media, prompt = body["messages"][0]["content"][0], body["messages"][0]["content"][-1]["text"]
    jpeg = base64.b64decode(media[media["type"]]["url"].split("base64,")[1].split(",")[0])
    red = Image.open(io.BytesIO(jpeg)).convert("RGB").getpixel((5, 5))[0]
    strange = media["type"] == "image_url" and red < 35 and "JSON" in prompt
    return web.json_response({"error": {"message": "too strange"}}, status=400) if strange else None


def main() -> None:
    """Write them all."""
    for version, commit in COMMITS.items():
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            tree = subprocess.run(["git", "archive", commit], stdout=subprocess.PIPE, check=True).stdout
            with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
                archive.extractall(work / "tree", filter="data")
            write_inputs(work)
            servers = FakeServers()
            servers.on_ask = refuse_one
            subprocess.run(
                [
                    *(sys.executable, "-m", "client.batch", *OPTIONS, "--concurrency", "1"),
                    *("--endpoint" if version == 1 else "--base-url", f"{servers.url}/v1", "--translator", servers.url),
                ],
                env={**os.environ, "PYTHONPATH": str(work / "tree")},
                cwd=work,
                timeout=40,
                check=False,
            )
            servers.close()
            (HERE / f"v{version}.sql").write_text("\n".join(dump(work)) + "\n")


def dump(work: Path) -> Iterator[str]:
    """The ledger as SQL, without this machine's folder."""
    connection = sqlite3.connect(work / "captions" / "ledger.db")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for line in connection.iterdump():
        yield re.sub(re.escape(str(work / "ads")), "{ads}", line)
    connection.close()
    yield f"PRAGMA user_version = {version};"


if __name__ == "__main__":
    main()
