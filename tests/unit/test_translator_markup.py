"""HTML taken apart and put together: tags stay at their words."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.assembly import TranslatedText, assemble
from translator.checks.review import Reviewed
from translator.languages import read_tag
from translator.prepared import Prepared
from translator.text import sentences
from translator.text.marked import Marked
from translator.text.markup import Page
from translator.text.placement import Anchor, Mark, place


def assembled(block: Marked, say: Callable[[str], str]) -> TranslatedText:
    prepared = Prepared(block, read_tag("en"))
    for piece in sentences.pieces(block.text, "en", layout=block.layout):
        prepared.add(piece, tuple)
    return assemble(prepared, "fra_Latn", lambda _, sentence, __: Reviewed(say(sentence.said)))


def translate(source: str, say: Callable[[str], str]) -> str:
    page = Page(source)
    return page.with_texts([assembled(block, say).text for block in page.texts])


@pytest.mark.parametrize(
    ("source", "texts", "upper"),
    [
        ("plain", ["plain"], "PLAIN"),
        ("", [], ""),
        ('<p class="a">One &lt; two</p>', ["One < two"], '<p class="a">ONE &lt; TWO</p>'),
        ("a<br/>b<BR>c", ["a\nb\nc"], "A<br/>B<BR>C"),
        ("<p>\n  <b> x </b>\n</p>", ["  x  "], "<p>\n  <b> X </b>\n</p>"),
        ("caf&eacute; &#33;", ["café !"], "CAFÉ !"),
        ('<a title="x > y" href=z>t</a>', ["t"], '<a title="x > y" href=z>T</a>'),
        ("<p it's>x</p>", ["x"], "<p it's>X</p>"),
        ("1 < 2 <3", ["1 < 2 <3"], "1 < 2 <3"),
        ("a < b", ["a < b"], "A &lt; B"),
        ("<!DOCTYPE html><!-- a > b --><?x y?>z", ["z"], "<!DOCTYPE html><!-- a > b --><?x y?>Z"),
        ("<script>a < b</script>c<style>d</style>", ["c"], "<script>a < b</script>C<style>d</style>"),
        ("<script>a", [], "<script>a"),
        ("<code>a<code>b</code>c</code>d", ["d"], "<code>a<code>b</code>c</code>D"),
        ('<p translate="no">a<i>b</i></p>c', ["c"], '<p translate="no">a<i>b</i></p>C'),
        ('<i class="x notranslate">a</i>b', ["b"], '<i class="x notranslate">a</i>B'),
        ("a</p >b</>c", ["a", "bc"], "A</p ></>BC"),
        ("a<b c='d", ["a"], "A<b c='d"),
        ("x<!-- open", ["x"], "X<!-- open"),
        ("<ul><li>One <b>two</b></li><li>x</li></ul>", ["One two", "x"], "<ul><li>ONE <b>TWO</b></li><li>X</li></ul>"),
        ("Mix <b><i>of</b></i> tags <u>open", ["Mix of tags open"], "MIX <b><i>OF</i></b> TAGS <u>OPEN"),
        (
            "<p>The <b>red car</b> stops at\n  <a href='x'>Acme</a>. It opens<br>with &amp; <i>in</i> blue.</p>",
            ["The red car stops at Acme. It opens\nwith & in blue."],
            "<p>THE <b>RED CAR</b> STOPS AT <a href='x'>ACME</a>. IT OPENS<br>WITH &amp; <i>IN</i> BLUE.</p>",
        ),
    ],
)
def test_texts_change_and_nothing_else(source: str, texts: list[str], upper: str) -> None:
    assert [block.text for block in Page(source).texts] == texts
    assert translate(source, str.upper) == upper


@pytest.mark.parametrize(
    ("source", "sentences"),
    [
        ("It<br>opens with <b>red<br/></b>everywhere.", ["It\nopens with red\neverywhere."]),
        ("The<br>Acme car stops.", ["The\nAcme car stops."]),
        ("今天<br>很好。", ["今天\n很好。"]),
        ("One line.<br>another one.", ["One line.", "another one."]),
        ("Red<br>Blue<br>Green", ["Red", "Blue", "Green"]),
        ("red<br>blue<br>green", ["red", "blue", "green"]),
        ("10 Main Street<br>Springfield", ["10 Main Street", "Springfield"]),
    ],
)
def test_a_sentence_stays_one_across_a_line_break(source: str, sentences: list[str]) -> None:
    (block,) = Page(source).texts
    assert [sentence.source for sentence in assembled(block, str.upper).sentences] == sentences


S = "The red car stops at Acme today."
T = "Das rote Auto hält heute bei Acme."
ANCHORS: list[Anchor] = [(0, 3, 1), (4, 8, 5), (9, 13, 9), (14, 18, 14), (19, 24, 28), (25, 28, 19), (29, 34, 23)]


@pytest.mark.parametrize(
    ("marks", "there"),
    [
        ([Mark(4, "<b>", 7, "</b>")], "Das <b>rote</b> Auto hält heute bei Acme."),
        ([Mark(21, "<a>", 25, "</a>")], "Das rote Auto hält heute bei <a>Acme</a>."),
        ([Mark(26, "<i>", 31, "</i>")], "Das rote Auto hält <i>heute</i> bei Acme."),
        ([Mark(12, "<img>")], "Das rote Auto <img>hält heute bei Acme."),
        (
            [Mark(4, "<b>", 11, "</b>"), Mark(8, "<i>", 11, "</i>"), Mark(26, "<u>", 31, "</u>")],
            "Das <b>rote <i>Auto</i></b> hält <u>heute</u> bei Acme.",
        ),
        ([Mark(12, "<br>", line_break="\n")], "Das rote Auto<br>hält heute bei Acme."),
        ([Mark(4, "<b>", 4, "</b>")], "Das <b></b>rote Auto hält heute bei Acme."),
    ],
)
def test_tags_go_where_the_attention_says(marks: list[Mark], there: str) -> None:
    parts = place(S, T, marks, ANCHORS)
    assert "".join(part.plain if part.written is None else part.written for part in parts) == there


MARKS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.booleans()), max_size=6)


@given(st.text("ab 语,.", min_size=20, max_size=20), st.text("xy 文.,", max_size=30), MARKS)
def test_no_tag_is_lost_and_pairs_nest(source: str, target: str, drawn: list[tuple[int, int, bool]]) -> None:
    marks = [
        Mark(min(a, b), f"<{n}>", max(a, b), f"</{n}>") if pair else Mark(a, f"<{n}/>")
        for n, (a, b, pair) in enumerate(sorted(drawn))
    ]
    parts = place(source, target, marks)
    assert "".join(part.plain for part in parts) == target
    written = [part.written for part in parts if part.written]
    assert sorted(written) == sorted(tag for mark in marks for tag in (mark.source, mark.closing) if tag)
    opened: list[str] = []
    for tag in written:
        if tag.startswith("</"):
            assert opened.pop() == tag.replace("/", "")
        elif not tag.endswith("/>"):
            opened.append(tag)


@pytest.mark.parametrize("unit", ["<b>w</b> ", "word <b></b>", "<i>a <b>c</b> d</i> ", "w <br> "])
def test_a_sentence_with_very_many_tags(unit: str) -> None:
    source = unit * 300
    there = translate(source, str.upper)
    assert len(there) == len(source)
    assert all(there.count(tag) == source.count(tag) for tag in ("<b>", "</b>", "<i>", "</i>", "<br>"))


PIECES = ["<", ">", "</", "<p>", "</p>", "<!--", "-->", "<![CDATA[", "<script>", "</script>", "&amp;", "&", "é\n"]
PIECES += ["<?", "<!", "<a b='", "'", '"', "/>", "<textarea>", "<code>", "</code>", "\0", "=", " ", "<x translate=no>"]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=20).map("".join))
def test_a_page_with_its_own_texts_is_itself(source: str) -> None:
    assert translate(source, lambda text: text) == source
    escaped = translate(source, lambda text: "&")
    assert len(Page(escaped).texts) == len(Page(source).texts)


@pytest.mark.parametrize("piece", ["<a ", "<!--", "<", "</", "<a b='", "<script>", "<a b=", "= ", "<![CDATA["])
def test_a_page_made_to_be_slow_is_not(piece: str) -> None:
    """The standard library's parser takes hours for some of these."""
    page = Page("<p " + piece * 100_000)
    assert len(page.with_texts(["" for _ in page.texts])) >= 5
