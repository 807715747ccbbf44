"""Writes the translator's table of how long texts are in each language, relative to the same texts in English.

    python scripts/make_length_table.py good_pairs.jsonl.gz

The pairs are good translations out of English, one JSON object a line: `language` (a FLORES code), `source` and
`reference`; the table in the repository comes from a part of NTREX-128 (115 human translations of English news).
Lengths are those of `translator.checks.lengths.measured`: make the table again when they change.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections import defaultdict
from pathlib import Path

from scripts.benchmarks.translator.pairs import read_pairs
from translator.checks.lengths import measured

TABLE = Path(__file__).resolve().parents[1] / "translator" / "checks" / "length_ratios.tsv"
FEWEST = 20
"""Pairs of a language without which it gets no row."""


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, help="good pairs as JSON lines, gzipped or not")
    ratios: dict[str, list[float]] = defaultdict(list)
    for pair in read_pairs(parser.parse_args().pairs):
        asked, said = measured(pair["source"], pair["reference"], ("eng_Latn", pair["language"]))
        if asked:
            ratios[pair["language"]].append(said / asked)
    rows = {"eng_Latn": 1.0}
    rows |= {code: statistics.median(each) for code, each in ratios.items() if len(each) >= FEWEST}
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("code", "ratio"))
        table.writerows((code, f"{ratio:.2f}") for code, ratio in sorted(rows.items()))
    print(f"{TABLE}: {len(rows)} languages")


if __name__ == "__main__":
    main()
