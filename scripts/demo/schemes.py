"""The demo models in 16 bits, FP8 and four bits beside each other: what they say of the same new clips and pictures.

    python -m scripts.demo.schemes --seed 7                        # starts a stack for each scheme, and stops it
    python -m scripts.demo.schemes --videos 100 --pictures 100 --json schemes.json

The 16-bit checkpoints that come with the project are quantised by `babelview quantize`; all are served in bfloat16. A
caption is right if it is what the drawing shows, and the same if the 16-bit model says it too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from scripts.demo.evaluate import ask_all
from scripts.demo.stack import StackError, running_stack
from scripts.demo.world.score import score
from server.profile import DEMO_MODELS, DEMO_PREFIX
from server.shipped_profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MODELS = ("llava-next-video-7b", "llama-3.2-11b-vision")
SIXTEEN_BITS = "bf16"
SCHEMES = (SIXTEEN_BITS, "fp8-dynamic", "w4a16")
Answers = dict[tuple[str, str], Any]


def make_checkpoint(model: str, scheme: str, folder: Path) -> Path:
    """A demo model in a scheme; the 16-bit one is there already."""
    source = DEMO_MODELS / f"{model}-bf16"
    if scheme == SIXTEEN_BITS:
        return source
    from server.quantization_schemes import SCHEMES as KNOWN  # noqa: PLC0415 - loads torch
    from server.quantized_checkpoint import quantize  # noqa: PLC0415

    target = folder / f"{model}-{scheme}"
    quantize(source, target, report=lambda _: None, scheme=KNOWN[scheme])
    return target


def profile_of(checkpoints: Mapping[str, Path]) -> str:
    """The demo profile with other checkpoints of its models that see, in bfloat16."""
    text = (PROFILES / "demo.toml").read_text(encoding="utf-8")
    for model, folder in checkpoints.items():
        text = text.replace(f'model = "{DEMO_PREFIX}{model}"', f'model = "{folder}"\ndtype = "bfloat16"')
    return text


def answers_of(records: Sequence[Mapping[str, Any]]) -> Answers:
    """(file, task) -> what was said."""
    return {
        (record["file"].rpartition("/")[2], task): answer.get("tags", answer.get("text"))
        for record in records
        if not record["error"]
        for task, answer in record["tasks"].items()
        if "segments" not in answer
    }


def compare(said: Mapping[str, Answers], right: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """A row for each scheme.

    Args:
        said: By scheme.
        right: By scheme: captions that are right, and all.
    """
    plain = said[SIXTEEN_BITS]
    return [
        {
            "scheme": scheme,
            "right": right[scheme][0],
            "captions": right[scheme][1],
            "same_as_bf16": sum(answers.get(key) == text for key, text in plain.items()),
            "answers": len(plain),
        }
        for scheme, answers in said.items()
    ]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=2, help="clips are drawn anew for each seed (default: 2)")
    parser.add_argument("--videos", type=int, default=40, help="how many clips (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=40, help="how many pictures (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    args = parser.parse_args()
    if min(args.videos, args.pictures) < 0 or not args.videos + args.pictures:
        parser.error("--videos and --pictures: at least one of something")
    said: dict[str, Answers] = {}
    right: dict[str, tuple[int, int]] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="babelview-schemes-") as temporary:
            for scheme in SCHEMES:
                folder = Path(temporary)
                checkpoints = {model: make_checkpoint(model, scheme, folder) for model in MODELS}
                profile = folder / f"{scheme}.toml"
                profile.write_text(profile_of(checkpoints), encoding="utf-8")
                with running_stack("--profile", str(profile), "--port", "0", "--translator-port", "0") as stack:
                    records, truth, lines = ask_all(stack, args.seed, args.videos, args.pictures)
                shares = score(records, truth, lines).captions.values()
                said[scheme] = answers_of(records)
                right[scheme] = sum(share.right for share in shares), sum(share.total for share in shares)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    rows = compare(said, right)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    table = Table("scheme", "right", "of", "share", "the same as in 16 bits", "of", "share")
    for row in rows:
        counts = [(row["right"], row["captions"]), (row["same_as_bf16"], row["answers"])]
        cells = [
            cell for count, total in counts for cell in (f"{count:,}", f"{total:,}", f"{count / max(total, 1):.1%}")
        ]
        table.add_row(row["scheme"], *cells)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
