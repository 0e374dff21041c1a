"""Every form of every tool is recognised as that tool; every form that names none is not."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from license_forms import nonsense, well_formed

from curate.license import parse
from curate.license.tools import CREATIVE_COMMONS, TOOLS, Tool


def missed(step: int, offset: int = 0) -> list[tuple[str, str, str, str]]:
    forms = islice(well_formed(), offset, None, step)
    return [(k, t, id_, parse(t, k).token) for k, t, id_ in forms if parse(t, k).id != id_]


def accepted(step: int, offset: int = 0) -> list[tuple[str, str, str | None]]:
    forms = islice(nonsense(), offset, None, step)
    return [(kind, text, parse(text, kind).id) for kind, text in forms if parse(text, kind).id]


def test_a_sample_of_all_forms_of_all_tools() -> None:
    assert missed(step=61) == []


def test_a_sample_of_what_names_no_tool() -> None:
    assert accepted(step=17) == []


@pytest.mark.slow
def test_all_forms_of_all_tools() -> None:
    assert missed(step=1) == []


@pytest.mark.slow
def test_all_that_names_no_tool() -> None:
    assert accepted(step=1) == []


def test_the_forms_are_many_and_of_every_tool() -> None:
    kinds: Counter[str] = Counter()
    tools = set()
    for kind, _, id_ in well_formed():
        kinds[kind] += 1
        tools.add(id_)
    assert tools == {tool.id for tool in CREATIVE_COMMONS}
    assert kinds.total() > 500_000
    assert len(kinds) >= 14


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.id)
def test_spdx_knows_every_tool_by_id_and_reference(tool: Tool) -> None:
    for form in (tool.spdx, tool.id, tool.spdx.lower(), f"({tool.spdx})", f"{tool.id} OR MIT"):
        assert parse(form, "spdx").id == tool.id


# published titles in other languages: what is behind the version decides
TITLES = {
    "Namensnennung - Weitergabe unter gleichen Bedingungen 4.0 International": "CC-BY-SA-4.0",
    "Namensnennung-NichtKommerziell 2.0 US-amerikanisch (nicht portiert)": "CC-BY-NC-2.0",
    "Atribución-CompartirIgual 2.0 Inglaterra y País de Gales": "CC-BY-SA-2.0-UK",
    "Atribución-NoComercial-SinDerivadas 2.0 (Chile)": "CC-BY-NC-ND-2.0-CL",
    "Reconeixement-NoComercial-CompartirIgual 3.0 Alemanya": "CC-BY-NC-SA-3.0-DE",
    "Nevezd meg! - Ne add el! - Így add tovább! 3.0 Németország": "CC-BY-NC-SA-3.0-DE",
    "Nimeä-Epäkaupallinen-Tarttuva 3.0 Saksa": "CC-BY-NC-SA-3.0-DE",
    "Autorile viitamine + Mitteäriline eesmärk 2.0 Üldine": "CC-BY-NC-2.0",
    "Uznanie autorstwa-Bez utworów zależnych 3.0 Niemcy": "CC-BY-ND-3.0-DE",
    "Αναφορά Δημιουργού - Μη Εμπορική Χρήση - Παρόμοια Διανομή 3.0 Γερμανία": "CC-BY-NC-SA-3.0-DE",
    "Признание-Некомерсиално-Споделяне на споделеното 3.0 Германия": "CC-BY-NC-SA-3.0-DE",
    "ייחוס-שימוש לא מסחרי-שיתוף זהה 3.0 גרמניה": "CC-BY-NC-SA-3.0-DE",
    "نسب المصنف - غير تجاري 3.0 المانيا": "CC-BY-NC-3.0-DE",
    "แสดงที่มา-ไม่ใช้เพื่อการค้า 2.0 ทั่วไป": "CC-BY-NC-2.0",
    "表示 - 非営利 - 継承 3.0 ドイツ": "CC-BY-NC-SA-3.0-DE",
    "表示 2.1 日本": "CC-BY-2.1-JP",
    "表示-継承 3.0": "CC-BY-SA-3.0",
    "姓名標示-非商業性-相同方式分享 3.0 台灣": "CC-BY-NC-SA-3.0-TW",
    "저작자표시-변경금지 2.0 대한민국": "CC-BY-ND-2.0-KR",
    "Alıntı-Gayriticari 2.5 İtalya": "CC-BY-NC-2.5-IT",
    "Imenovanje-Bez prerada 3.0 SAD": "CC-BY-ND-3.0-US",
    "Naamsvermelding-NietCommercieel 2.0 Unported": "CC-BY-NC-2.0",
    "«Attribution-ShareAlike» («Атрибуция-СохранениеУсловий») 4.0 Всемирная": "CC-BY-SA-4.0",
    "Paternité - Pas d'Utilisation Commerciale 2.0 Générique": "CC-BY-NC-2.0",
}
# the same words with no place, an unknown one, or one that this version never had
UNCLEAR = (
    "Namensnennung — Nicht-kommerziell — Keine Bearbeitung 2.0",
    "Reconocimiento-NoComercial-SinObraDerivada 2.0", "Namensnennung 3.0", "Atribución 2.5",
    "Atribución-CompartirIgual 2.0 Groenlandia", "Namensnennung 4.0 Deutschland",
    "Atribución 3.0 Suecia", "Attribution 3.0 Ukraine", "Attribution-ShareAlike 3.0 Jordan",
    "Atribuire-Necomercial-FărăModificări 3.0 Germania", "署名-相同方式共享 3.0", "表示 2.0",
)  # fmt: skip


@pytest.mark.parametrize("title", TITLES)
def test_titles_in_other_languages_name_their_port(title: str) -> None:
    assert parse(title, "text").id == TITLES[title]
    assert parse(f"Creative Commons {title}", "text").id == TITLES[title]


@pytest.mark.parametrize("title", UNCLEAR)
def test_titles_whose_port_nobody_can_tell_are_ambiguous(title: str) -> None:
    assert parse(title, "text").token == "AMBIGUOUS"
