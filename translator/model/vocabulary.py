"""The part of NLLB's vocabulary that translations into some scripts need.

Half of what a batch costs on a CPU is the output layer: a product with, and a search through, all of 256,206 tokens,
many of them of scripts that the translation is not written in. CTranslate2 computes that layer over the tokens of a
"vocabulary map" alone (`vmap.txt`, see its guide to dynamic vocabulary reduction), which is meant to hold each source
word's usual translations. That would lose rare words, and make a translation depend on its company in a batch. So
here the map is one fixed list: every token without a letter of another script. A sentence that itself holds such
letters (小米 in an English one) is translated with the whole vocabulary, for it may have to keep them.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from translator.text import scripts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

ALWAYS = "Latn"
"""Names and brands are written in it everywhere."""
MAP_FILE = "vmap.txt"
_SEPARATORS = frozenset(" \t\n\r")


def tokens_of(vocabulary: Iterable[str], chosen: Collection[str]) -> frozenset[str]:
    """The tokens whose letters are all of the `chosen` scripts or of Latin, and those without letters.

    Args:
        vocabulary: tokens as the tokenizer writes them.
        chosen: scripts of FLORES codes, such as "Deva".
    """
    return frozenset(token for token in vocabulary if _fits(token, {ALWAYS, *chosen}))


def _fits(token: str, chosen: Collection[str]) -> bool:
    # What the file's format cannot hold counts as foreign, and so do control tokens.
    if _SEPARATORS & set(token) or (token.startswith("<") and token.endswith(">")):
        return False
    return all(scripts.may_stand(character, chosen) for character in token)


@contextmanager
def mapped(folder: Path, tokens: Iterable[str]) -> Iterator[Path]:
    """The model in `folder` with `tokens` as its vocabulary map, in a folder of links for as long as it loads."""
    with tempfile.TemporaryDirectory(prefix="babelview-translator-") as name:
        for file in folder.iterdir():
            if file.name != MAP_FILE:
                (Path(name) / file.name).symlink_to(file.resolve())
        # One line: no source word, a tab, the tokens that are there for all.
        (Path(name) / MAP_FILE).write_text("\t" + " ".join(sorted(tokens)) + "\n", encoding="utf-8")
        yield Path(name)
