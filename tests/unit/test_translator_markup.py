"""HTML taken apart and put together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.text.markup import Page


@pytest.mark.parametrize(
    ("source", "texts", "upper"),
    [
        ("plain", ["plain"], "PLAIN"),
        ("", [], ""),
        ('<p class="a">One &lt; two</p>', ["One < two"], '<p class="a">ONE &lt; TWO</p>'),
        ("a<br/>b<BR>c", ["a", "b", "c"], "A<br/>B<BR>C"),
        ("<p>\n  <b> x </b>\n</p>", [" x "], "<p>\n  <b> X </b>\n</p>"),
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
        ("a</p >b</>c", ["a", "b", "c"], "A</p >B</>C"),
        ("a<b c='d", ["a"], "A<b c='d"),
        ("x<!-- open", ["x"], "X<!-- open"),
    ],
)
def test_texts_change_and_nothing_else(source: str, texts: list[str], upper: str) -> None:
    page = Page(source)
    assert page.texts == texts
    assert page.with_texts([text.upper() for text in texts]) == upper


PIECES = ["<", ">", "</", "<p>", "</p>", "<!--", "-->", "<![CDATA[", "<script>", "</script>", "&amp;", "&", "é\n"]
PIECES += ["<?", "<!", "<a b='", "'", '"', "/>", "<textarea>", "<code>", "</code>", "\0", "=", " ", "<x translate=no>"]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=20).map("".join))
def test_a_page_with_its_own_texts_is_itself(source: str) -> None:
    page = Page(source)
    assert page.with_texts(page.texts) == source
    escaped = page.with_texts(["&" for _ in page.texts])
    assert Page(escaped).texts == page.texts or "&" in page.texts or Page(escaped).texts == ["&" for _ in page.texts]


@pytest.mark.parametrize("piece", ["<a ", "<!--", "<", "</", "<a b='", "<script>", "<a b=", "= ", "<![CDATA["])
def test_a_page_made_to_be_slow_is_not(piece: str) -> None:
    """The standard library's parser takes hours for some of these."""
    page = Page("<p " + piece * 100_000)
    assert len(page.with_texts(page.texts)) >= 100_000
