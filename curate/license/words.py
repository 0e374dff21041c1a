"""The small words of licence statements in several languages: licence, version, or, and, not."""

from __future__ import annotations

from typing import Final


def word_set(text: str) -> frozenset[str]:
    """The words of a text, which reads better in a table than a list of quoted ones."""
    return frozenset(text.split())


LICENCE: Final = word_set(
    "license licence licenses licences licensed licenced lizenz lizenziert lizenzvertrag licencia "
    "licença licenca licenza licentie licencja licens lisens lisenssi llicència лицензия "
    "лицензии ліцензія ライセンス 许可协议 授權條款 라이선스 agreement"
)
VERSION: Final = word_set("version v ver versión versione versão versie wersja версия")
OR: Final = word_set("or oder ou o of eller lub или або または")
AND: Final = word_set("and und et y e en og och i и та &")
NOT: Final = word_set(
    "not never without nor neither nicht kein keine keinen keiner pas não nao niet geen ikke inte "
    "nie не ні cannot cant unlike except excepting excluding excludes non no sin sans senza sem "
    "unless nope nein none false isnt arent wasnt doesnt dont"
)  # fmt: skip
UNITS_OF_MEASURE: Final = word_set(
    "mb gb kb tb mib gib mp mpx megapixel megapixels mpixel m cm mm km ft inch inches x px pixel "
    "pixels stars star % percent mm2 seconds s sec min hours h kg g eur usd € $ £ million "
    "ghz mhz"
)  # fmt: skip
