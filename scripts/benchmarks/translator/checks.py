"""How well the translator's quality checks tell bad translations from good ones.

    python -m scripts.benchmarks.translator.checks good_pairs.jsonl.gz nllb_outputs.jsonl.gz
    python -m scripts.benchmarks.translator.checks ... --half 1                       # every second sentence alone
    python -m scripts.benchmarks.translator.checks ... --sample 60                    # flagged ones, to judge by eye
    python -m scripts.benchmarks.translator.checks ... --write docs/translation.md    # the table there

Both files have one JSON object a line. Good pairs: `language` (a FLORES code), English `source`, human `reference`;
what is flagged of these is a false alarm. Outputs: `languages` ("en-zh"), `source`, `nllb`, `reference`; the reference
says what is wrong with them: an omission is shorter than 0.55 of it, an overrun longer than 1.9 of it, a loop
compresses to less than 0.62 of its rate, and all others are of normal length. References are not perfect, and
outputs of normal length can be bad as well: look at a sample.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import random
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.benchmarks.common.places import fill
from scripts.benchmarks.translator.pairs import read_pairs
from translator.checks.checks import find_issues
from translator.languages import known, read_tag

if TYPE_CHECKING:
    from collections.abc import Iterable

BANDS = (0.55, 0.6, 0.7, 0.8, 1.25, 1.9)
"""Lengths relative to the reference, between which outputs of normal length are counted apart."""
_LARGEST_CODES = """
eng_Latn zho_Hans hin_Deva spa_Latn arb_Arab fra_Latn ben_Beng por_Latn rus_Cyrl urd_Arab ind_Latn deu_Latn
jpn_Jpan mar_Deva vie_Latn tel_Telu hau_Latn tur_Latn swh_Latn tgl_Latn tam_Taml zho_Hant pes_Arab kor_Hang
tha_Thai ita_Latn guj_Gujr pol_Latn ukr_Cyrl nld_Latn ron_Latn
"""
LARGEST = _LARGEST_CODES.split()
"""By speakers, those of which there are human translations."""
OWNER = "scripts.benchmarks.translator.checks"


@dataclass
class Flagged:
    """How many there are of each kind, how many of them are flagged, and for what."""

    all: Counter[tuple[str, str]] = field(default_factory=Counter)
    flagged: Counter[tuple[str, str]] = field(default_factory=Counter)
    issues: Counter[tuple[str, str]] = field(default_factory=Counter)
    shown: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Kind and issues, languages, source, text of each flagged one."""
    spent_s: float = 0.0

    def add(self, kinds: Iterable[str], languages: tuple[str, str], source: str, text: str) -> None:
        """Check one translation."""
        began = time.process_time()
        found = find_issues(source, text, languages)
        self.spent_s += time.process_time() - began
        for kind in kinds:
            key = kind, languages[1]
            self.all[key] += 1
            self.flagged[key] += bool(found)
            for name in {issue.partition(":")[0] for issue in found}:
                self.issues[kind, name] += 1
            if found:
                self.shown.append((f"{kind}: {'; '.join(found)}", languages[1], source, text))

    def share(self, kind: str, codes: Iterable[str] | None = None) -> tuple[int, int, float]:
        """Flagged ones of a kind, all of it, and the percentage, in some languages or all."""
        keys = [key for key in self.all if key[0] == kind and (codes is None or key[1] in codes)]
        some, every = sum(self.flagged[key] for key in keys), sum(self.all[key] for key in keys)
        return some, every, 100 * some / every if every else 0.0


def kinds_of(text: str, reference: str) -> list[str]:
    """What the reference says of an output; of one of normal length also how long it is, as `BANDS` has it."""
    length = len(text) / max(1, len(reference))
    wrong = {
        "omission": length < BANDS[0],
        "overrun": length > BANDS[-1],
        "loop": _rate(text) < 0.62 * _rate(reference),
    }
    return [kind for kind, is_so in wrong.items() if is_so] or [_band(length), "normal length"]


def _band(length: float) -> str:
    at = bisect.bisect_right(BANDS[1:-1], length)
    return f"{BANDS[at]:g} to {BANDS[at + 1]:g}"


def _rate(text: str) -> float:
    data = text.encode()
    return len(zlib.compress(data, 9)) / max(1, len(data))


def measure(good: Path, outputs: Path, half: int | None) -> tuple[Flagged, Flagged]:
    """Check all good pairs and all outputs, or those of every second source sentence."""
    places: dict[str, int] = {}

    def wanted(source: str) -> bool:
        return half is None or places.setdefault(source, len(places)) % 2 == half

    of_good, of_outputs = Flagged(), Flagged()
    for pair in read_pairs(good):
        if wanted(pair["source"]):
            of_good.add(["good"], ("eng_Latn", pair["language"]), pair["source"], pair["reference"])
    places.clear()
    for pair in read_pairs(outputs):
        if wanted(pair["source"]):
            first, _, second = pair["languages"].partition("-")
            codes = read_tag(first).code, read_tag(second).code
            of_outputs.add(kinds_of(pair["nllb"], pair["reference"]), codes, pair["source"], pair["nllb"])
    return of_good, of_outputs


def table(good: Flagged, outputs: Flagged) -> str:
    """What was measured, as the documentation shows it."""
    names = {code: language.name for code, language in known().items()}
    lines = [
        "| output of NLLB-200, English to | omissions flagged | loops flagged | normal length flagged |",
        "| --- " * 4 + "|",
    ]
    codes = sorted({code for _, code in outputs.all}, key=names.__getitem__)
    for name, some in [*((names[code], {code}) for code in codes), ("all", None)]:
        cells = (outputs.share(kind, some) for kind in ("omission", "loop", "normal length"))
        lines.append(
            f"| {name} | " + " | ".join(f"{part} of {every} ({share:.1f} %)" for part, every, share in cells) + " |"
        )
    lines += ["", "| length of an output of normal length, by that of the reference | flagged |", "| --- | --- |"]
    for low, high in itertools.pairwise(BANDS):
        part, every, share = outputs.share(_band(low))
        lines.append(f"| {low:g} to {high:g} | {part} of {every} ({share:.1f} %) |")
    lines += ["", "| human translations from English | false alarms |", "| --- | --- |"]
    part, every, share = good.share("good")
    lines.append(f"| all {len(good.all)} languages | {part} of {every} ({share:.2f} %) |")
    part, every, share = good.share("good", LARGEST)
    lines.append(f"| the 30 largest | {part} of {every} ({share:.2f} %) |")
    by_share: dict[str, list[str]] = {}
    for key in sorted(good.all, key=lambda key: (-good.flagged[key] / good.all[key], names[key[1]])):
        text = f"{100 * good.flagged[key] / good.all[key]:.1f} %" if good.flagged[key] else "none"
        by_share.setdefault(text, []).append(names[key[1]])
    none = by_share.pop("none", [])
    lines += [f"| {', '.join(each)} | {text} |" for text, each in by_share.items()]
    lines += [f"| the {len(none)} others | none |"]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print or write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("good", type=Path, help="human translations, as JSON lines, gzipped or not")
    parser.add_argument("outputs", type=Path, help="a model's translations with references")
    parser.add_argument(
        "--half", type=int, choices=(0, 1), help="every second sentence alone, from the first or second"
    )
    parser.add_argument("--sample", type=int, default=0, help="print so many flagged outputs of normal length")
    parser.add_argument("--alarms", action="store_true", help="print all false alarms")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="a page with a place for the table")
    options = parser.parse_args()
    good, outputs = measure(options.good, options.outputs, options.half)
    text = table(good, outputs)
    print(text)
    for name, counts in (("good pairs", good), ("outputs", outputs)):
        print(f"\n{name}: {1e6 * counts.spent_s / max(1, sum(counts.all.values())):.0f} us of CPU each")
        for (kind, issue), times in sorted(counts.issues.items()):
            print(f"  {kind}: {issue}: {times}")
    normal = [one for one in outputs.shown if one[0].startswith("normal")]
    chosen = random.Random(options.seed).sample(normal, min(options.sample, len(normal)))
    for one in [*chosen, *(good.shown if options.alarms else [])]:
        print("\n" + "\n    ".join(one))
    if options.write:
        fill(options.write, OWNER, text)


if __name__ == "__main__":
    main()
