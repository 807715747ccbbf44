"""Each threshold of the quality checks, just below and just above its value."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest

from translator.checks.checks import Thresholds, find_issues

SOURCE = "A man of great height walks past an old gate with his two friends."  # no letter twice in a row
LETTERS = "voici une bien longue suite sans aucun sens pour compter les lettres de chaque mot dans cette phrase"

PAIR = ("eng_Latn", "fra_Latn")
HANZI = "高个子男人走过旧门的时候看见他和两位朋友在街上"


def letters(count: int) -> str:
    """The first words of `LETTERS`, up to so many letters."""
    text, left = "", count
    for character in LETTERS:
        if not left:
            break
        text += character
        left -= character != " "
    return text


@dataclass(frozen=True)
class Edge:
    """A translation that is just good enough by one threshold, and one that just is not."""

    threshold: str
    good: str
    bad: str
    issue: str
    tighter: float
    """A value of the threshold by which `good` has the issue, too."""
    looser: float
    """A value of the threshold by which `bad` is good enough."""
    source: str = SOURCE
    bad_source: str | None = None
    """The source of `bad`, where it is not that of `good`."""
    target: str = "fra_Latn"
    language: str = "eng_Latn"
    """Of the source."""


EDGES = [
    Edge(
        "loop_times",
        "Un homme grand grand passe la vieille porte avec deux amis.",
        "Un homme grand grand grand passe la vieille porte avec deux amis.",
        "loop: 'grand' 3 times in a row",
        2,
        4,
    ),
    Edge(
        "loop_times",
        "Un homme très grand très grand passe devant la porte.",
        "Un homme très grand très grand très grand passe ici.",
        "loop: 'très grand' 3 times in a row",
        2,
        4,
    ),
    Edge(
        "loop_times_short",
        "高个子男人人人人走过旧门",
        "高个子男人人人人人走过旧门",
        "loop: '人' 5 times in a row",
        4,
        6,
        target="zho_Hans",
    ),
    Edge(
        "loop_times_short",
        "Un homme chante lalalala sous la vieille porte.",
        "Un homme chante lalalalala sous la vieille porte.",
        "loop: 'la' 5 times in a word",
        4,
        6,
    ),
    Edge(
        "loop_clause",
        "Il passe la porte, il passe la porte.",
        "Il passe la vieille porte, il passe la vieille porte.",
        "loop: 'il passe la vieille porte' 2 times in a row",
        4,
        6,
        source="He walks by that old gate two times.",
    ),
    Edge(
        "loop_clause",
        "一二三四五六七八九一二三四五六七八九高个子男人走过旧门的时候看见他和两位朋友",
        "一二三四五六七八九十一二三四五六七八九十高个子男人走过旧门的时候看见他和两位朋友",
        "loop: '一二三四五六七八九十' 2 times in a row",
        4,
        6,
        target="zho_Hans",
    ),
    Edge(  # 2 of 14 and 2 of 13 sequences
        "repeated_share",
        "un homme grand et vieux passe devant une porte puis un homme grand et jeune revient",
        "un homme grand et vieux passe devant une porte puis un homme grand et jeune",
        "loop: 15% of it repeats itself",
        0.14,
        0.16,
    ),
    Edge(  # 3 of 21 and 3 of 19 sequences
        "repeated_share",
        "一二三四五六七八男一二三四五六七八高个子走过旧门了吗",
        "一二三四五六七八男一二三四五六七八高个子走过旧门",
        "loop: 16% of it repeats itself",
        0.14,
        0.16,
        target="zho_Hans",
    ),
    Edge(  # "porte" is 4 of 19 and 4 of 18 words
        "common_share",
        "une porte puis deux porte et avec trois porte sous quatre grand arbre vert un bel soir porte bleu ici",
        "une porte puis deux porte et avec trois porte sous quatre grand arbre vert un bel soir porte",
        "loop: 'porte' 4 times",
        0.19,
        0.23,
    ),
    Edge(
        "common_times",
        "une porte puis deux porte et avec trois porte",
        "une porte puis deux porte et avec trois porte sous porte",
        "loop: 'porte' 4 times",
        3,
        5,
    ),
    Edge("longest", letters(47), letters(48), "too long: 2.6 times", 2.55, 2.7, source="blue cars"),
    Edge("length_slack", letters(47), letters(48), "too long", 11, 13, source="blue cars"),
    Edge("shortest", letters(54), letters(53), "too short: 0.54 of", 0.56, 0.53, source="xyzw " * 22),
    Edge("shortest_brief", HANZI[:7], HANZI[:6], "too short: 0.50 of", 0.57, 0.5, "xyzw " * 10, target="zho_Hans"),
    Edge("shortest_tiny", letters(10), letters(9), "too short: 0.44 of", 0.47, 0.43, source="xyzw " * 6 + "x"),
    Edge(
        "tiny_sentence",
        letters(10),
        letters(10) + ".",
        "too short: 0.45 of",
        24,
        26,
        source="xyzw " * 6 + "x",
        bad_source="xyzw " * 6 + "xy",
    ),
    Edge("short_slack", letters(54), letters(53), "too short: 0.54 of", 5, 9, source="xyzw " * 22),
    Edge("shortest_chinese", HANZI[:17], HANZI[:16], "too short: 0.55 of", 0.6, 0.54, "xyzw " * 22, target="zho_Hans"),
    Edge(
        "shortest_from_chinese",
        letters(26),
        letters(25),
        "too short: 0.49 of",
        0.52,
        0.48,
        HANZI[:20],
        target="eng_Latn",
        language="zho_Hans",
    ),
    Edge(
        "label_share",
        letters(12),
        letters(11),
        "too short: without '(VOICE4)'",
        0.72,
        0.66,
        source="(VOICE4) A man walks by.",
    ),
    Edge(  # 8 of 28 and 8 of 26 characters
        "label_part",
        letters(14),
        letters(12),
        "too short: without '(VOICE4)'",
        0.25,
        0.35,
        source="(VOICE4) A man walks by ago.",
        bad_source="(VOICE4) A man walks by a.",
    ),
    Edge(
        "invented_words",
        "deux voitures bleues. Oui",
        "voitures bleues. Oui",
        "invented: a sentence mark",
        3,
        1,
        source="two blue cars",
        bad_source="blue cars",
    ),
    Edge(
        "copied_words",
        "sports car",
        "red sports car",
        "copied: the source itself",
        2,
        4,
        source="sports car",
        bad_source="red sports car",
    ),
    Edge(  # 7 and 8 of 10 words
        "copied_share",
        "the tall man walks through an old porte avec ami",
        "the tall man walks through an old gate avec ami",
        "copied: 80% of the source's words",
        0.7,
        0.85,
        source="the tall man walks through an old gate with friends",
    ),
    Edge(
        "copied_long",
        "the tall man walks away ici",
        "the tall man walks away today ici",
        "copied: 100% of the source's words",
        5,
        7,
        source="the tall man walks away",
        bad_source="the tall man walks away today",
    ),
    Edge(  # 7 of 10 and 6 of 9 letters
        "script_share",
        "машинка car",
        "машина car",
        "wrong script: 67% of it is Cyrl",
        0.71,
        0.66,
        source="a little car",
        target="rus_Cyrl",
    ),
    Edge(
        "script_letters",
        "高个子男人走过",
        "高个子男人走过门",
        "wrong script: no letter is Jpan alone",
        7,
        9,
        source="The tall man walks past.",
        target="jpn_Jpan",
    ),
]
EACH = pytest.mark.parametrize("edge", EDGES, ids=lambda edge: f"{edge.threshold}: {edge.issue.partition(':')[0]}")


def issues(edge: Edge, text: str, value: float | None = None) -> tuple[str, ...]:
    """What is found in one of the edge's texts, with the threshold as it is or at `value`."""
    source = edge.bad_source if edge.bad_source and text == edge.bad else edge.source
    thresholds = Thresholds() if value is None else replace(Thresholds(), **{edge.threshold: value})  # type: ignore[arg-type]
    return find_issues(source, text, (edge.language, edge.target), thresholds=thresholds)


@EACH
def test_just_below_and_just_above_each_threshold(edge: Edge) -> None:
    assert issues(edge, edge.good) == ()
    (found,) = issues(edge, edge.bad)
    assert found.startswith(edge.issue)


@EACH
def test_each_threshold_can_be_moved(edge: Edge) -> None:
    (found,) = issues(edge, edge.good, edge.tighter)
    assert found.partition(":")[0] == edge.issue.partition(":")[0]
    assert issues(edge, edge.bad, edge.looser) == ()


@pytest.mark.parametrize(("score", "said"), [(-2.0, ()), (-2.001, ("unlikely: mean log-probability below -2",))])
def test_the_lowest_score(score: float, said: tuple[str, ...]) -> None:
    pair = ("A red car.", "Une voiture rouge.", ("eng_Latn", "fra_Latn"))
    assert find_issues(*pair, score=score) == said
    assert find_issues(*pair, score=score, thresholds=Thresholds(lowest_score=-2.5)) == ()


def test_no_threshold_is_left_out() -> None:
    assert {field.name for field in fields(Thresholds)} == {edge.threshold for edge in EDGES} | {
        "lowest_score",
        "short_sentence",
    }


def test_a_short_sentence_may_be_shorter() -> None:
    source, text, pair = "xyzw " * 10, HANZI[:7], ("eng_Latn", "zho_Hans")
    assert find_issues(source, text, pair) == ()
    (issue,) = find_issues(source, text, pair, thresholds=Thresholds(short_sentence=39))
    assert issue.startswith("too short: 0.57")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        # As often in a row as the source has it, and as often in a word as twice that.
        ("It is a big big big gate.", "C'est une grande grande grande porte."),
        ("He sings lala lululu.", "Il chante lalalalalala."),
        # A clause twice, as the source has a part of a word.
        ("He sings lala and goes past an old gate.", "Il passe la vieille porte, il passe la vieille porte."),
        # The source repeats three of its eleven sequences, too.
        (
            "a tall man and old but a tall man and old goes here",
            "un homme grand et vieux passe mais un homme grand et vieux passe",
        ),
        # Four of the source's thirteen sequences of six letters, in a script without spaces.
        (
            "一二三四五六七八九一二三四五六七八九",
            "un homme grand passe un homme grand passe un homme ici",
        ),
        # Twice as often as the source's most frequent word.
        ("a gate or two gate with three old trees", "une porte puis deux porte et avec trois porte sous porte"),
    ],
)
def test_what_the_source_repeats_may_be_repeated(source: str, text: str) -> None:
    assert find_issues(source, text, ("eng_Latn", "fra_Latn")) == ()


def test_what_is_repeated_more_often_than_in_the_source_is_named() -> None:
    source, text = "He sings lala lululu.", "Il chante lalalalalalala."
    assert find_issues(source, text, ("eng_Latn", "fra_Latn")) == ("loop: 'la' 7 times in a word",)


@pytest.mark.parametrize(("text", "said"), [("", "empty: nothing came back"), ("...", "empty: only '...' came back")])
def test_nothing_is_named(text: str, said: str) -> None:
    assert find_issues("A red car.", text, ("eng_Latn", "fra_Latn")) == (said,)


@pytest.mark.parametrize(("source", "good"), [("three of them at most", False), ("three of them in all", True)])
def test_a_short_text_may_come_back_as_a_number(source: str, good: bool) -> None:
    assert (len(source) <= 20) == good
    assert find_issues(source, "3", ("eng_Latn", "fra_Latn")) == (() if good else ("empty: only '3' came back",))


@pytest.mark.parametrize(("words", "how"), [(20, "2 times in a row"), (21, "of it repeats itself")])
def test_phrases_up_to_twenty_words_are_quoted_as_loops(words: int, how: str) -> None:
    phrase = " ".join(f"{first}{second}" for first in "abcdefg" for second in "uvw")[: 3 * words - 1]
    (found,) = find_issues(SOURCE, f"{phrase} {phrase}", ("eng_Latn", "fra_Latn"), thresholds=Thresholds(longest=9))
    assert found.endswith(how)


def test_a_long_text_that_ends_in_a_loop_is_one() -> None:
    words = [
        f"{first}{second}"
        for first in "abcdefgh"
        for second in ("ilu", "exo", "oza", "uki", "yme", "ani", "ove", "epu")
    ]
    tail = "avec une joie physique, " + "".join(f"{word} avec une joie physique, " for word in ("puis", "mais", "donc"))
    source = " ".join(words) + " and so on with all that was told before of it"
    text = " ".join(word[::-1] for word in words)
    assert find_issues(source, text, PAIR) == ()
    (found,) = find_issues(source, f"{text} {tail}", PAIR)
    assert found == "loop: 21% of a part of it repeats itself"
    assert find_issues(f"{source} {tail}", f"{text} {tail}", PAIR) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # Sequences are counted from eleven words on, words from four letters on.
        ("un homme grand passe un homme grand passe un homme", ()),
        ("un homme grand passe un homme grand passe un homme grand", ("loop: 56% of it repeats itself",)),
        ("les rues puis les jours et les trois les", ()),
        ("port rues puis port jours et port trois port", ("loop: 'port' 4 times",)),
    ],
)
def test_what_is_too_short_to_be_counted(text: str, said: tuple[str, ...]) -> None:
    assert find_issues(SOURCE, text, ("eng_Latn", "fra_Latn")) == said
