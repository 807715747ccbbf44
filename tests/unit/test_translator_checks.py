# ruff: noqa: RUF001  (signs of many scripts)
"""The quality checks on translations as they come: good ones pass, bad ones are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.checks.checks import Thresholds, find_issues
from translator.checks.numbers import numbers
from translator.checks.quantities import lost
from translator.languages import known

GOOD = [
    ("fra_Latn", "This advertisement has three scenes.", "Cette publicité comporte trois scènes."),
    (
        "deu_Latn",
        "A red sports car drives through 3 villages in the Alps.",
        "Ein roter Sportwagen fährt durch drei Dörfer in den Alpen.",
    ),
    (
        "jpn_Jpan",
        "A woman holds a Coca-Cola bottle and smiles at the camera.",
        "女性がコカ・コーラのボトルを持ち、カメラに向かって微笑んでいる。",
    ),
    ("jpn_Jpan", "The iPhone 15 Pro is shown on a table.", "iPhone 15 Proがテーブルの上に置かれている。"),
    ("zho_Hans", "The price is 1,000.50 dollars.", "价格是1,000.50美元。"),
    ("zho_Hans", "More than 10,000 people and 2.5 million cars.", "超过1万人和250万辆汽车。"),
    ("zho_Hant", "The left side is red, the right side is blue.", "左邊是紅色，右邊是藍色。"),
    ("tha_Thai", "A young woman drinks coffee in front of a large window.", "หญิงสาวดื่มกาแฟหน้าหน้าต่างบานใหญ่"),
    ("arb_Arab", "The store opened in 2019 and has 45 employees.", "افتتح المتجر في عام ٢٠١٩ ويضم ٤٥ موظفًا."),
    (
        "hin_Deva",
        "This video shows two people in front of the Adidas store.",
        "इस वीडियो में Adidas स्टोर के सामने दो लोग दिखाई देते हैं।",
    ),
    ("hin_Deva", "It costs 1,00,000 rupees.", "इसकी कीमत १,००,००० रुपये है।"),
    ("amh_Ethi", "A red car passes by a house.", "ቀይ መኪና ከቤት አጠገብ ያልፋል።"),
    ("kor_Hang", "A red car passes in front of the house.", "빨간 차가 집 앞을 지나간다."),
    ("rus_Cyrl", "The BMW logo appears at the end.", "В конце появляется логотип BMW."),
    ("ell_Grek", "A man runs along the beach.", "Ένας άνδρας τρέχει κατά μήκος της παραλίας."),
    ("heb_Hebr", "Two children play football in the yard.", "שני ילדים משחקים כדורגל בחצר."),
    ("tam_Taml", "The woman is wearing a white dress.", "அந்தப் பெண் வெள்ளை ஆடை அணிந்திருக்கிறாள்."),
    ("mya_Mymr", "The woman is wearing a white dress.", "အမျိုးသမီးသည် အဖြူရောင် ဝတ်စုံ ဝတ်ဆင်ထားသည်။"),
    ("khm_Khmr", "The woman is wearing a white dress.", "ស្ត្រីនោះកំពុងពាក់រ៉ូបពណ៌ស។"),
    ("kat_Geor", "The woman is wearing a white dress.", "ქალს თეთრი კაბა აცვია."),
    ("fra_Latn", "TV", "télévision"),
    ("spa_Latn", "taxi", "taxi"),
    ("deu_Latn", "Coca-Cola", "Coca-Cola"),
    ("fra_Latn", "Paris Hilton", "Paris Hilton"),
    ("fra_Latn", "NIKE. JUST DO IT.", "NIKE. JUST DO IT."),
    ("jpn_Jpan", "NIKE", "NIKE"),
    ("hin_Deva", "Coca-Cola", "Coca-Cola"),
    ("fra_Latn", "Visit https://example.org/a?b=1 today.", "Visitez https://example.org/a?b=1 aujourd'hui."),
    ("fra_Latn", "It starts at 7:30 pm.", "Cela commence à 19h30."),
    ("deu_Latn", "It costs $1,299.99.", "Es kostet 1.299,99 $."),
    ("fra_Latn", "12 eggs", "douze œufs"),
    ("spa_Latn", "3rd place", "tercer lugar"),
    (
        "fra_Latn",
        "In the 1990s, it was very, very, very popular.",
        "Dans les années 90, c'était très, très, très populaire.",
    ),
    ("spa_Latn", "Ha ha ha ha! No, no, no!", "¡Ja, ja, ja, ja! ¡No, no, no!"),
    (
        "spa_Latn",
        "Ask Anna, because she's learning how we do it, and Carl, because he is learning how they do it.",
        "Pregunta a Anna, porque está aprendiendo cómo lo hacemos, y a Carl, porque está aprendiendo cómo lo hacen.",
    ),
    ("jpn_Jpan", "Hahaha, that is funny!", "ハハハ、それは面白い！"),
    ("swh_Latn", "The child is playing with a ball near the river.", "Mtoto anacheza na mpira karibu na mto."),
    ("urd_Arab", "The child is playing with a ball near the river.", "بچہ دریا کے کنارے گیند سے کھیل رہا ہے۔"),
    ("ben_Beng", "The price is 250 taka.", "দাম ২৫০ টাকা।"),
    ("vie_Latn", "The girl is eating an ice cream.", "Cô gái đang ăn kem."),
    ("ind_Latn", "The children are playing.", "Anak-anak sedang bermain-main."),
    ("tur_Latn", "The man is wearing sunglasses and a blue suit.", "Adam güneş gözlüğü ve mavi takım elbise giyiyor."),
    ("fin_Latn", "in our houses", "taloissamme"),
    ("fra_Latn", "OK", "D'accord"),
    ("zho_Hans", "urban landscape", "城市景观"),
    ("jpn_Jpan", "OK", "はい"),
    ("tha_Thai", "red", "สีแดง"),
    ("deu_Latn", "Hello {name}, you have %d new messages.", "Hallo {name}, Sie haben %d neue Nachrichten."),
    ("por_Latn", "Half of the 24 bottles are empty.", "Metade das 24 garrafas está vazia."),
    ("srp_Cyrl", "The new Samsung Galaxy phone.", "Нови Samsung Galaxy телефон."),
    ("bod_Tibt", "The house is white.", "ཁང་པ་དཀར་པོ་རེད།"),
    ("fra_Latn", "three", "3"),
]
BAD = [
    (
        "fra_Latn",
        "This advertisement shows people who are happy and full of energy.",
        "L'enthousiasme physique, une émotion physique, une énergie physique, une joie physique, une émotion physique.",
        "loop",
    ),
    ("spa_Latn", "The dog runs.", "El perro corre corre corre corre corre corre corre corre.", "loop"),
    (
        "fra_Latn",
        "He opens the door and leaves.",
        "Il ouvre la porte et part, il ouvre la porte et part, il ouvre la porte et part.",
        "loop",
    ),
    ("jpn_Jpan", "The dog runs.", "犬が走る犬が走る犬が走る犬が走る", "loop"),
    ("tha_Thai", "The dog runs in the park.", "สุนัขวิ่งวิ่งวิ่งวิ่งวิ่งวิ่งในสวนสาธารณะ", "loop"),
    ("deu_Latn", "cool", "Coolololololololol", "loop"),
    ("fra_Latn", "cat", "Je vais au magasin parce que le chat est dans la maison de ma tante", "too long"),
    (
        "deu_Latn",
        "A red car drives slowly through a beautiful small village while children play football in the street.",
        "Ein Auto.",
        "too short",
    ),
    ("fra_Latn", "red sports car", "red sports car", "copied"),
    (
        "fra_Latn",
        "A red car drives through the beautiful village.",
        "A red car drives through the beautiful village.",
        "copied",
    ),
    ("hin_Deva", "A red car drives.", "A red car drives.", "wrong script"),
    ("srp_Cyrl", "A red car drives.", "Crveni auto vozi.", "wrong script"),
    ("srp_Latn", "A red car drives.", "Црвени ауто вози.", "wrong script"),
    ("jpn_Jpan", "A red car drives through the village.", "红色的汽车驶过村庄。", "wrong script"),
    ("zho_Hans", "A red car drives through the village.", "Une voiture rouge traverse le village.", "wrong script"),
    ("hin_Deva", "red car", "red car", "wrong script"),
    ("fra_Latn", "The price is 15 dollars.", "Le prix est de 50 dollars.", "numbers"),
    ("fra_Latn", "It is 5 km away.", "C'est à 8 km.", "numbers"),
    ("fra_Latn", "It grew by 1.5 percent in 2024.", "Il a augmenté de 15 pour cent en 2024.", "numbers"),
    ("deu_Latn", "There are 150 people.", "Es gibt Menschen.", "numbers"),
    ("deu_Latn", "There are 100 people.", "Es gibt 1000 Menschen.", "numbers"),
    ("hin_Deva", "The price is 250.", "कीमत २०५ है।", "numbers"),
    ("fra_Latn", "See https://example.org now.", "Voir maintenant.", "lost"),
    ("fra_Latn", "Mail a.b@example.org now.", "Écrivez à a.b@example maintenant.", "lost"),
    ("deu_Latn", "Hello {name}!", "Hallo {Namen}!", "lost"),
    ("fra_Latn", "A dog.", "", "empty"),
    ("fra_Latn", "A dog.", "...", "empty"),
    ("kor_Hang", "A red car drives through the village.", "紅色的汽車駛過村莊的街道", "wrong script"),
]


@pytest.mark.parametrize(("target", "source", "text"), GOOD)
def test_a_good_translation_passes(target: str, source: str, text: str) -> None:
    assert find_issues(source, text, ("eng_Latn", target)) == ()


@pytest.mark.parametrize(("target", "source", "text", "issue"), BAD)
def test_a_bad_translation_is_named(target: str, source: str, text: str, issue: str) -> None:
    assert any(found.startswith(issue) for found in find_issues(source, text, ("eng_Latn", target)))


@pytest.mark.parametrize(
    ("source", "target", "same"),
    [
        ("zho_Hans", "zho_Hant", "一只狗在公园里。"),
        ("arb_Arab", "apc_Arab", "الولد يلعب في الحديقة مع أخته الصغيرة."),
    ],
)
def test_related_languages_may_say_the_same(source: str, target: str, same: str) -> None:
    assert find_issues(same, same, (source, target)) == ()


def test_into_english_too() -> None:
    assert (
        find_issues("红色的汽车驶过村庄。", "The red car drives through the village.", ("zho_Hans", "eng_Latn")) == ()
    )
    assert find_issues("红色的汽车驶过村庄。", "红色的汽车驶过村庄。", ("zho_Hans", "eng_Latn")) != ()


def test_a_translation_that_the_model_finds_unlikely_is_named() -> None:
    pair = ("A red car.", "Une voiture rouge.", ("eng_Latn", "fra_Latn"))
    assert find_issues(*pair, score=-0.5) == ()
    (found,) = find_issues(*pair, score=-9.0)
    assert found == "unlikely: mean log-probability below -2"
    assert find_issues(*pair, score=-9.0, thresholds=Thresholds(lowest_score=-10)) == ()


def test_what_repeats_in_the_source_may_repeat() -> None:
    song = "La la la la la la, sing with me, la la la la la la."
    assert find_issues(song, "La la la la la la, chante avec moi, la la la la la la.", ("eng_Latn", "fra_Latn")) == ()


@given(st.text(), st.text(), st.sampled_from(sorted(known())), st.sampled_from(sorted(known())))
def test_no_text_upsets_the_checks(source: str, text: str, first: str, second: str) -> None:
    assert all(isinstance(found, str) for found in find_issues(source, text, (first, second)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000.50", "1.000,50"),
        ("1,000.50", "१,०००.५०"),
        ("1,000.5", "٣ و ١٬٠٠٠٫٥"),
        ("1,234,567", "1 234 567"),
        ("1,234,567", "1\u202f234\u202f567"),
        ("1,234,567", "12,34,567"),
        ("1234.5", "1'234.5"),
        ("2.5 million", "250万"),
        ("2.5 million", "25 लाख"),
        ("120 million yen", "1億2000万円"),
        ("3.5 billion", "3,5 Milliarden"),
        ("on 05/12/2024", "am 5.12.2024"),
        ("at 7:30 pm", "à 19h30"),
        ("12 eggs", "douze œufs"),
        ("100 years", "cent ans"),
        ("in the 1980s", "dans les années 80"),
        ("1/2 cup", "½ tasse"),
        ("３ cars", "3 Autos"),
        ("five cars and 3 dogs", "5 voitures et trois chiens"),
    ],
)
def test_the_same_number(one: str, other: str) -> None:
    assert lost(one, other) == []


@pytest.mark.parametrize(
    ("one", "other", "gone"),
    [
        ("1.5 percent", "15 %", ["1.5"]),
        ("150 people", "quelques personnes", ["150"]),
        ("100 people", "1000 personnes", ["100"]),
        ("5 km", "8 km", ["5"]),
        ("2019 and 2020", "2019", ["2020"]),
        ("9" * 5000, "9" * 4999, ["9" * 5000]),
    ],
)
def test_another_number(one: str, other: str, gone: list[str]) -> None:
    assert lost(one, other) == gone


@given(st.text("0123456789.,:' 万億千kmp٣९½"))
def test_any_run_of_digits_is_read(text: str) -> None:
    assert all(number.readings for number in numbers(text))
    assert lost(text, text) == []


def test_a_label_that_is_all_there_is_must_come_through() -> None:
    both = ("eng_Latn", "spa_Latn")
    assert find_issues("<pad>", "El ritmo es lento", both) == ("lost: <pad>",)
    assert find_issues("<pad>", "<pad>", both) == ()
    assert find_issues("[Music]", "[Música]", both) == ()
