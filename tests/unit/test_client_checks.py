# ruff: noqa: RUF001
"""Is it a caption? Refusals, reasoning, loops, other languages, empty frames of words, echoes; and no false alarms."""

from __future__ import annotations

import json
import random
import time

import pytest
from ledgers import MODELS, plan_of

from client.checks.issues import IssueKind, check_stored, find_issues
from client.checks.loops import find_loop
from client.checks.reasoning import split_reasoning
from client.checks.words import quoting, words
from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.tasks.plan import Plan, Request, make_plan
from client.tasks.schemas import PREFIX
from client.tasks.tasks import choose_tasks

CAR = "A red car drives along the sea at dusk, past two white houses on a hill."
LONG = (
    "The image depicts a house with a red sign in front of it, featuring the text “BYE BYE BYE BYE BYE BYE” in black "
    "letters. The house is a single-story structure with a grey roof and white trim.\n\nIn the foreground, the sign "
    "dominates the scene, with the text written in a playful, handwritten font: ‘I'm sorry, I can't help you’. The "
    "background of the image features trees and greenery, which suggests a peaceful setting."
)


def request_of(task: str = "describe", question: str = "") -> Request:
    plan: Plan = plan_of([] if question else [task], (), question)
    return plan.requests[Kind.IMAGE][0]


def kinds(text: str, task: str = "describe", question: str = "") -> list[IssueKind]:
    request = request_of(task, question)
    return [issue.kind for issue in find_issues(text, request.prompt, request.question, request.answer)]


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with identifying people.",
        "I’m sorry, but I can’t assist with that request.",
        "Sorry, I can't do that.",
        "I'm sorry, I can't.",
        "I cannot fulfill this request. It goes against my guidelines.",
        "I'm not able to identify people in images. If you have other questions, feel free to ask!",
        "I am unable to describe the people in this picture.",
        "Unfortunately, I cannot view the image you've uploaded.",
        "As an AI language model, I don't have eyes.",
        "I don't see any image attached. Please upload the image.",
        "There is no image provided.",
        "Please provide a picture for me to describe.",
        "I must respectfully decline to describe this image.",
        "I won't be able to help with that.",
        "I'm sorry, but that's not something I can help with.",
        "Lo siento, pero no puedo ayudar con eso.",
        "Es tut mir leid, aber ich kann dabei nicht helfen.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "抱歉，我无法帮助识别图片中的人物。",
        "申し訳ありませんが、お手伝いできません。",
        "It would be inappropriate for me to describe this person.",
        "Beklager, men jeg kan ikke hjelpe med det.",
        "Jag är ledsen, men jag kan inte hjälpa till med det.",
        "Anteeksi, en voi auttaa tässä.",
        "Omlouvám se, ale s tím nemohu pomoci.",
        "Žao mi je, ali ne mogu pomoći s tim.",
        "Съжалявам, но не мога да помогна с това.",
        "Îmi pare rău, dar nu pot ajuta cu asta.",
        "Ho sento, però no puc ajudar amb això.",
        "Sajnálom, de ebben nem tudok segíteni.",
        "Λυπάμαι, δεν μπορώ να βοηθήσω με αυτό.",
        "ขออภัย ฉันไม่สามารถช่วยเรื่องนี้ได้",
        "দুঃখিত, আমি এতে সাহায্য করতে পারি না।",
        "אני מצטער, אבל אני לא יכול לעזור בזה.",
        "متأسفم، نمی‌توانم در این مورد کمک کنم.",
        "Paumanhin, hindi ko magagawa iyan.",
        "Samahani, siwezi kusaidia na hilo.",
    ],
)
def test_refusals(text: str) -> None:
    assert IssueKind.REFUSAL in kinds(text)
    assert IssueKind.REFUSAL in kinds(text, question="Who is it?")


@pytest.mark.parametrize(
    "text",
    [
        "red red red red red red",
        CAR + " The sky is" + " red" * 40,
        "a man with a dog with a dog with a dog",
        "The sign is red. The sea is blue. " * 4,
        "The picture is vibrant today. It is a car. The picture is vibrant today. A sea. The picture is vibrant today.",
        "1. red car\n2. red car\n3. red car\n4. red car\n5. red car",
        '["car", "red", "red", "red", "red", "red", "red"',
        f'{CAR} It says "NO NO NO NO NO NO NO NO NO NO NO NO NO".',
        "!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
        "Lalalalalalalalalala",
        "红色的汽车红色的汽车红色的汽车红色的汽车",
    ],
)
def test_loops(text: str) -> None:
    assert IssueKind.LOOP in kinds(text)


@pytest.mark.parametrize(
    ("phrase", "times"),
    [
        ("red ", 5),
        ("red car ", 4),
        ("red car sea ", 3),
        ("red car by sea ", 3),
        ("red car by sea in sun ", 3),
        ("red car by sea in sun at dusk ", 2),
        ("7 ", 8),
        ("哈", 8),
        ("a red car drives by\n- ", 3),
        ("No, a red car. Then a blue sea, ", 2),
        ("It is a red car. ", 3),
        ("e", 9),
        ("la", 6),
        ("ab1", 6),
    ],
)
def test_a_loop_begins_where_it_is_said_to(phrase: str, times: int) -> None:
    """Whatever is tried first to save time: with one less it is none."""
    for before, behind in (("", ""), ("There is a lighthouse: ", "")):
        assert find_loop(before + phrase * times + behind)
        assert find_loop(before + phrase * (times - 1) + behind) is None


def test_a_character_or_a_quoted_word_comes_more_often_in_a_loop() -> None:
    assert find_loop("A man! " + "!" * 12)
    assert find_loop("A man! " + "!" * 11) is None
    assert find_loop('It says "' + "NO " * 10 + '".')
    assert find_loop('It says "' + "NO " * 9 + '".') is None


def test_words_of_plain_texts_are_those_of_any_text() -> None:
    """Texts in ASCII and those with typographic marks alone are taken apart in another way than those with more."""
    parts = [
        *"abX1 '_\"-.:\n\x1c",
        "'",
        "\u2019",
        "''",
        "'_",
        "\u201c",
        "\u201d",
        "\u2014",
        "can't",
        "don\u2019t",
        "the ",
    ]
    dice = random.Random(5)
    for _ in range(3000):
        text = "".join(dice.choices(parts, k=dice.randrange(25)))
        assert words(text) == words(f"{text} ñ")[:-1], text


@pytest.mark.parametrize(
    ("text", "quotes", "around"),
    [
        ("A car.", [], [("a", "car")]),
        ("", [], [()]),
        ('It says "SALE now", in red.', ['"SALE now"'], [("it", "says"), ("in", "red")]),
        ("The dogs' bowl, 'don't' and it's `x`", ["'don't'", "`x`"], [("the", "dogs", "bowl"), ("and", "it's"), ()]),
        ("“a” ‘b’ „c“ «d» 「e」", ["“a”", "‘b’", "„c“", "«d»", "「e」"], [()] * 6),
        ("x‘b’ x'c' 'd'x \"\n\" ' e '", [], [("x", "b", "x'c", "d'x", "e")]),
    ],
)
def test_quotes(text: str, quotes: list[str], around: list[tuple[str, ...]]) -> None:
    assert quoting(text) == (around, quotes)


@pytest.mark.parametrize(
    "text",
    [
        "Here is a description of the image:",
        "Sure! Here is the description of the picture.",
        "The image shows a scene.",
        "N/A",
        "...",
        "```python\n```",
        '{"description": "", "setting": null}',
        "The image shows [who drives the car].",
        "[Who drives the car?]",
        "1. Product and brand:\n2. Design:\n3. Text:",
        "<|audio|>",
        "Aquí está la descripción de la imagen:",
    ],
)
def test_empty_frames_of_words(text: str) -> None:
    assert IssueKind.EMPTY in kinds(text)
    assert ("form" in find_issues(text, request_of().prompt, None, "text")[0].detail) == (text[:1] in "[{")


def test_short_answers_are_no_empty_frames() -> None:
    assert kinds("[]", "tags") == [IssueKind.EMPTY]
    assert find_issues("[]", "List the products.", None, "list") == []
    for text in ("Yes.", "No", "3", "None", "Nothing is sold.", "A picture", "👍", "The answer cannot be seen."):
        assert kinds(text, question="What is sold here?") == [], text


def test_echoes() -> None:
    prompt = request_of().prompt
    for text in (prompt, prompt[: len(prompt) // 2], f"{prompt} {CAR}", f"USER: {prompt} ASSISTANT: {CAR}"):
        assert IssueKind.ECHO in kinds(text), text
    assert kinds("How does the clip end?", question="How does the clip end?") == [IssueKind.ECHO]
    assert kinds("The clip does end with a red car.", question="How does the clip end?") == []
    echoed = '["subject", "setting", "objects", "colours", "style", "mood", "product category", "brand"]'
    assert IssueKind.ECHO in kinds(echoed, "tags")
    merged = "Put these together: a red car drives along the sea at dusk past two houses"
    assert find_issues(merged[20:], merged, None, "text", merged=True) == []


@pytest.mark.parametrize(
    "mark", ["USER:", "Human :", "### Instruction:", "###User:", "<|im_start|>user", "[/INST]", "<start_of_turn>user"]
)
def test_marks_of_a_conversation(mark: str) -> None:
    assert kinds(f"{CAR}\n{mark} And the sea?") == [IssueKind.ECHO]


def test_an_echo_begins_at_the_share_it_is_said_to() -> None:
    prompt = "one two three four five six seven eight nine ten eleven"
    assert (
        find_issues("b c one two three four five six seven", prompt, None, "text")[0].detail
        == "60% of it is the prompt"
    )
    assert find_issues("one two three four five six b c d", prompt, None, "text") == []
    items = prompt.split()[:4]
    assert (
        find_issues(", ".join([*items, "car"]), prompt, None, "tags")[0].detail
        == "80% of its items are words of the prompt"
    )
    assert find_issues(", ".join([*items[:3], "car", "sea"]), prompt, None, "tags") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Una casa blanca con un tejado gris y un jardín lleno de flores rojas frente al mar.", "Spanish"),
        ("Ein rotes Auto fährt in der Dämmerung am Meer entlang, vorbei an zwei weißen Häusern.", "German"),
        ('Ein rotes Auto fährt am Meer entlang, und hier steht "It is on the road to the sea and in it".', "German"),
        ("一辆红色的汽车在黄昏时分沿着海边行驶，经过山上的两座白色房屋。", "Han"),
        ("Красная машина едет вдоль моря на закате мимо двух белых домов на холме.", "Cyrillic"),
    ],
)
def test_another_language_than_the_prompts(text: str, found: str) -> None:
    (issue,) = find_issues(text, request_of().prompt, None, "text")
    assert issue.kind is IssueKind.LANGUAGE
    assert found in issue.detail
    for prompt in ("Describe this picture in Spanish, German, Chinese and Russian.", "Translate what is written."):
        assert find_issues(text, prompt, None, "text") == []
    assert kinds(text, question="What does the sign say?") == []


def test_the_language_of_a_prompt_or_a_question_of_ones_own() -> None:
    german = "Ein rotes Auto fährt in der Dämmerung am Meer entlang, vorbei an zwei weißen Häusern auf einem Hügel."
    prompt = "Beschreibe dieses Bild in zwei oder drei Absätzen. Sage zuerst, wer oder was zu sehen ist."
    assert find_issues(german, prompt, None, "text") == []
    assert [issue.kind for issue in find_issues(f"{CAR} {CAR[:40]}", prompt, None, "text")] == [IssueKind.LANGUAGE]
    assert kinds(german, question="Welches Auto ist hier zu sehen, und wo steht es gerade?") == []
    tags = (
        '["rojo", "coche", "mar", "puesta de sol", "casa blanca", "colina", "cielo", "carretera", "viaje", "verano", '
    )
    tags += '"playa", "arena", "paisaje", "nubes", "libertad", "familia", "vacaciones", "aventura", "árboles"]'
    assert kinds(tags, "tags") == [IssueKind.LANGUAGE]


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        (
            "<think>\nOkay, the user wants\n\na car.\n</think>\n\nA red car.",
            "A red car.",
            "Okay, the user wants\n\na car.",
        ),
        ("The user wants a car. </think>\nA red car.", "A red car.", "The user wants a car."),
        ("<think>\n\n</think>\n\nA red car.", "A red car.", None),
        ("<think>It is cut off", "", "It is cut off"),
        ("[THINK]hm[/THINK]A red car.", "A red car.", "hm"),
        ("◁think▷hm◁/think▷A red car.", "A red car.", "hm"),
        (
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>A red car.<|return|>",
            "A red car.",
            "hm",
        ),
        ("analysisWe need a car.assistantfinalA red car.", "A red car.", "We need a car."),
        ("<think>hm</think><answer>A red car.</answer>", "A red car.", "hm"),
        ("<|begin_of_box|>A red car.<|end_of_box|>", "A red car.", None),
        ("**Thinking:** I see red.\n\n**Answer:** A red car.", "A red car.", "I see red."),
        ("The shirt reads <think>different</think> in red.", "The shirt reads <think>different</think> in red.", None),
        ('The sign reads "</think>".', 'The sign reads "</think>".', None),
        (LONG, LONG, None),
    ],
)
def test_reasoning_is_told_from_the_answer(text: str, answer: str, reasoning: str | None) -> None:
    assert split_reasoning(text) == (answer, reasoning)


@pytest.mark.parametrize(
    ("text", "thinks"),
    [
        ("Okay, the user wants me to describe this picture. Let me look at it. There is a car.", True),
        ("Hmm, let me see. There is a car on the left, and a sea.", True),
        ("We need to describe the picture in two paragraphs. A car.", True),
        ("Let me describe this picture: a red car drives along the sea.", False),
        ("The user interface of a phone shows a red button.", False),
        ("Sure! A red car drives along the sea.", False),
    ],
)
def test_reasoning_without_marks_is_told_by_how_it_reads(text: str, thinks: bool) -> None:
    assert (IssueKind.REASONING in kinds(text)) == thinks


@pytest.mark.parametrize(
    "text",
    [
        CAR,
        LONG,
        "The brand cannot be seen in the picture.",
        "I cannot see any brand in the picture.",
        "I can't help but notice the bright colours of this picture.",
        "I'm sorry, but I can't identify people. However, the image shows a woman in a red dress standing by the sea "
        "at sunset, with a small brown dog beside her.",
        "Positive. The picture evokes joy and calm through its warm colours.",
        "Tick, tock, tick, tock: a clock. A poster reads SALE SALE SALE in red.",
        'The poster reads "Die schönsten Ferien beginnen hier, am Meer und in den Bergen" above a lake, in white.',
        "1. Product and brand: Coca-Cola, in red.\n2. Design: a bottle in the middle.\n3. Text: none.",
        "Zürich, Genève, Lugano.",
    ],
)
def test_no_false_alarms(text: str) -> None:
    assert kinds(text) == []


def test_tags_are_no_false_alarm() -> None:
    tags = (
        "red car, sea, dusk, white house, hill, sports car, electric car, Volkswagen, Škoda, café, art nouveau, poster"
    )
    assert kinds(tags, "tags") == []
    assert kinds('["red car", "blue sky", "red car"]', "tags") == []


def test_each_issue_of_a_stored_answer_is_a_reason() -> None:
    prompt = request_of().prompt
    assert check_stored(CAR, prompt, None, "text") == ("ok", [])
    verdict, reasons = check_stored(f"<think>hm</think>{'red ' * 9}", prompt, None, "text")
    assert verdict == "doubtful"
    assert reasons == ["loop: 'red' 9 times in a row", "reasoning: it holds the model's thoughts"]


@pytest.mark.parametrize(
    "part", ["<think>", "</think>", "red ", "I can't ", '"a" ', "\n", "a: \n", "[", "User: ", "汉"]
)
def test_long_answers_are_checked_in_no_time(part: str) -> None:
    request, began = request_of(), time.process_time()
    for before in ("", "A car."):  # white space at an end is taken off
        text = split_reasoning(before + part * (1_000_000 // len(part)) + before).text
        find_issues(text, request.prompt, None, "text")
    assert time.process_time() - began < 6


def test_prompts_of_ours_are_english_and_leave_no_language_open() -> None:
    plan = make_plan(choose_tasks(["describe", "tags", "sentiment", "ad"], []), MODELS, 0, Sampling(), ())
    spanish = "Una casa blanca con un tejado gris y un jardín lleno de flores rojas frente al mar, bajo un cielo azul."
    for request in plan.requests[Kind.IMAGE] + plan.requests[Kind.VIDEO]:
        found = [issue.kind for issue in find_issues(spanish, request.prompt, None, "text")]
        assert found == [IssueKind.LANGUAGE], request.task


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (
            {"title": "A car", "description": "I'm sorry, but I can't help with identifying people."},
            [IssueKind.REFUSAL],
        ),
        ({"title": "Lo siento, pero no puedo ayudar con eso.", "description": ""}, [IssueKind.REFUSAL]),
        ({"title": "A car", "description": "red red red red red red red red"}, [IssueKind.LOOP]),
        ({"title": "A car", "description": f"{CAR} {CAR.replace('red', 'blue')} I cannot identify people."}, []),
        ({"title": "I can't see the image.", "description": f"{CAR} {CAR.replace('red', 'blue')}"}, []),
        ({"title": "A car", "description": CAR}, []),
    ],
)
def test_the_texts_of_data_are_checked(data: dict[str, str], found: list[IssueKind]) -> None:
    """A refusal in a field of several is a word about that field."""
    properties = {name: {"type": "string"} for name in ("title", "description")}
    reader = PREFIX + json.dumps({"type": "object", "properties": properties, "required": list(properties)})
    assert [issue.kind for issue in find_issues(json.dumps(data), "Describe it.", None, reader)] == found
