"""The 639 Creative Commons legal tools, the public domain of US government works, other families.

A compact table (units × versions × ports) from which every tool is built once. What a licence asks
(attribution, share-alike …) is read from here, never guessed from tokens in a string.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

Kind = Literal["licence", "retired", "cc0", "pdm", "pddc", "us_gov", "open", "versionless"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One legal tool; `jurisdiction` is the port's code in lower case, empty when not ported."""

    id: str
    url: str
    title: str
    unit: str
    version: str
    jurisdiction: str
    kind: Kind
    by: bool
    nc: bool
    nd: bool
    sa: bool
    spdx: str
    identifier: str
    retired_on: str = ""

    @property
    def family(self) -> str:
        """The id without version and port: `CC-BY-SA` of `CC-BY-SA-3.0-DE`."""
        return self.id.split(f"-{self.version}")[0] if self.version else self.id


CC_URL: Final = "https://creativecommons.org/"

PORT_NAMES: Final[Mapping[str, str]] = MappingProxyType({
    "am": "Armenia", "ar": "Argentina", "at": "Austria", "au": "Australia", "az": "Azerbaijan",
    "be": "Belgium", "bg": "Bulgaria", "br": "Brazil", "ca": "Canada", "ch": "Switzerland",
    "cl": "Chile", "cn": "China Mainland", "co": "Colombia", "cr": "Costa Rica",
    "cz": "Czech Republic", "de": "Germany", "dk": "Denmark", "ec": "Ecuador", "ee": "Estonia",
    "eg": "Egypt", "es": "Spain", "fi": "Finland", "fr": "France", "ge": "Georgia", "gr": "Greece",
    "gt": "Guatemala", "hk": "Hong Kong", "hr": "Croatia", "hu": "Hungary", "ie": "Ireland",
    "igo": "IGO", "il": "Israel", "in": "India", "it": "Italy", "jp": "Japan", "kr": "Korea",
    "lu": "Luxembourg", "mk": "Macedonia", "mt": "Malta", "mx": "Mexico", "my": "Malaysia",
    "nl": "Netherlands", "no": "Norway", "nz": "New Zealand", "pe": "Peru", "ph": "Philippines",
    "pl": "Poland", "pr": "Puerto Rico", "pt": "Portugal", "ro": "Romania", "rs": "Serbia",
    "scotland": "UK: Scotland", "se": "Sweden", "sg": "Singapore", "si": "Slovenia",
    "th": "Thailand", "tw": "Taiwan", "ug": "Uganda", "uk": "UK: England & Wales",
    "us": "United States", "ve": "Venezuela", "vn": "Vietnam", "za": "South Africa",
})  # fmt: skip

SUFFIX: Final = {"1.0": "Generic", "2.0": "Generic", "2.5": "Generic", "3.0": "Unported",
                 "4.0": "International"}  # fmt: skip

_SIX = "by by-nc by-nc-nd by-nc-sa by-nd by-sa"
_OLD = "by by-nc by-nd-nc by-nc-sa by-nd by-sa"
_PORTS_20 = "at au be br ca cl de es fr hr it jp kr nl pl tw uk za"
_PORTS_25 = ("ar au bg br ca ch cn co dk es hr hu il in it mk mt mx my nl pe pl pt scotland se si "
             "tw za")  # fmt: skip
_PORTS_30 = ("am at au az br ca ch cl cn cr cz de ec ee eg es fr ge gr gt hk hr ie igo it lu nl no "
             "nz ph pl pr pt ro rs sg th tw ug us ve vn za")  # fmt: skip
# version, units, with an unported tool, ports
_LIVING = (
    ("1.0", _OLD, True, "fi il nl"),
    ("2.0", _SIX, True, _PORTS_20),
    ("2.1", _SIX, False, "au ca es jp"),
    ("2.5", _SIX, True, _PORTS_25),
    ("3.0", _SIX, True, _PORTS_30),
    ("4.0", _SIX, True, ""),
)
_PLAIN = "nc nc-sa nd nd-nc sa"
_RETIRED = (
    ("1.0", _PLAIN, True, "fi nl", "2004-05-25"),
    ("2.0", _PLAIN, False, "jp", "2004-05-25"),
    ("1.0", "sampling", True, "br tw", "2007-06-04"),
    ("2.0", "devnations", True, "", "2007-06-04"),
    ("1.0", "sampling+", True, "br de tw", "2011-09-12"),
    ("1.0", "nc-sampling+", True, "tw", "2011-09-12"),
)
_WORDS: Final = {
    "by": "Attribution", "nc": "NonCommercial", "nd": "NoDerivatives", "sa": "ShareAlike",
    "sampling": "Sampling", "sampling+": "Sampling Plus", "devnations": "Developing Nations",
}  # fmt: skip
# ids that SPDX lists, beyond the unported living licences (all of which it lists)
_SPDX_PORTED = (
    "CC-BY-2.5-AU CC-BY-3.0-AT CC-BY-3.0-AU CC-BY-3.0-DE CC-BY-3.0-IGO CC-BY-3.0-NL CC-BY-3.0-US "
    "CC-BY-NC-3.0-DE CC-BY-NC-3.0-IGO CC-BY-NC-ND-3.0-DE CC-BY-NC-ND-3.0-IGO CC-BY-NC-SA-2.0-DE "
    "CC-BY-NC-SA-2.0-FR CC-BY-NC-SA-2.0-UK CC-BY-NC-SA-3.0-DE CC-BY-NC-SA-3.0-IGO CC-BY-ND-3.0-DE "
    "CC-BY-SA-2.0-UK CC-BY-SA-2.1-JP CC-BY-SA-3.0-AT CC-BY-SA-3.0-DE CC-BY-SA-3.0-IGO "
    "CC-SA-1.0"
)


def _title(unit: str, version: str, port: str) -> str:
    parts = ("nc", "sampling+") if unit == "nc-sampling+" else tuple(unit.split("-"))
    joiner = " " if unit == "nc-sampling+" else "-"
    words = joiner.join(_WORDS[part] for part in parts)
    if version != "4.0":
        words = words.replace("NoDerivatives", "NoDerivs")
    return f"{words} {version} {PORT_NAMES[port] if port else SUFFIX[version]}"


def _name(unit: str) -> str:
    """Unit as it stands in ids: fixed order of elements, letters only."""
    order = {"by-nd-nc": "BY-NC-ND", "nd-nc": "NC-ND"}
    return order.get(unit, unit.upper().replace("+", "-PLUS"))


def _cc(unit: str, version: str, port: str, retired_on: str = "") -> Tool:
    id_ = f"CC-{_name(unit)}-{version}" + (f"-{port.upper()}" if port else "")
    listed = id_ in _SPDX_PORTED.split() or not (port or retired_on)
    parts = unit.split("-")
    return Tool(
        id=id_,
        url=f"{CC_URL}licenses/{unit}/{version}/" + (f"{port}/" if port else ""),
        title=_title(unit, version, port),
        unit=unit,
        version=version,
        jurisdiction=port,
        kind="retired" if retired_on else "licence",
        by="by" in parts or "sampling" in unit,
        nc="nc" in parts,
        nd="nd" in parts,
        sa="sa" in parts,
        spdx=id_ if listed else f"LicenseRef-{id_}",
        identifier=f"CC {unit.upper()} {version}" + (f" {port.upper()}" if port else ""),
        retired_on=retired_on,
    )


def _public_domain(
    id_: str, unit: str, port: str, kind: Kind, title: str, name: str, retired_on: str = ""
) -> Tool:
    return Tool(
        id=id_, url=f"{CC_URL}publicdomain/{unit}/1.0/" + (f"{port}/" if port else ""), title=title,
        unit=unit, version="1.0", jurisdiction=port, kind=kind, by=False, nc=False, nd=False,
        sa=False, spdx=id_, identifier=name, retired_on=retired_on,
    )  # fmt: skip


def _creative_commons() -> list[Tool]:
    tools = []
    for version, units, unported, ports in _LIVING:
        for unit in units.split():
            tools += [
                _cc(unit, version, port) for port in ([""] if unported else []) + ports.split()
            ]
    for version, units, unported, ports, day in _RETIRED:
        for unit in units.split():
            tools += [
                _cc(unit, version, port, day) for port in ([""] if unported else []) + ports.split()
            ]
    pddc = ("Copyright-Only Dedication (based on United States law) or Public Domain Certification "
            "1.0 United States")  # fmt: skip
    return [
        *tools,
        _public_domain("CC0-1.0", "zero", "", "cc0", "CC0 1.0 Universal", "CC0 1.0"),
        _public_domain(
            "CC-PDM-1.0", "mark", "", "pdm", "Public Domain Mark 1.0 Universal", "PDM 1.0"
        ),
        _public_domain(
            "CC-PDDC", "certification", "us", "pddc", pddc, "CERTIFICATION 1.0 US", "2010-10-11"
        ),
    ]


def _other(id_: str, flags: str, url: str, title: str, kind: Kind = "open") -> Tool:
    known = kind == "open"
    return Tool(
        id=id_, url=url, title=title, unit=id_.lower(), version="", jurisdiction="", kind=kind,
        by="by" in flags, nc=False, nd=False, sa="sa" in flags,
        spdx=id_ if known else f"LicenseRef-{id_}", identifier=id_,
    )  # fmt: skip


def _gfdl() -> list[Tool]:
    found = []
    for version in ("1.1", "1.2", "1.3"):
        folder = "licenses/" if version == "1.3" else "licenses/old-licenses/"
        for ending in ("", "-only", "-or-later"):
            for variant in ("", "-invariants", "-no-invariants") if ending else ("",):
                found.append(
                    _other(
                        f"GFDL-{version}{variant}{ending}", "by sa",
                        f"https://www.gnu.org/{folder}fdl-{version}.html",
                        f"GNU Free Documentation License {version}",
                    )
                )  # fmt: skip
    return found


_OGL_UK = "https://www.nationalarchives.gov.uk/doc/open-government-licence/version/"


def _others() -> list[Tool]:
    odc, cdla = "https://opendatacommons.org/licenses/", "https://cdla.dev/"
    return [
        _other("PD-US-GOV", "", "https://www.usa.gov/government-works",
               "Work of the United States government", "us_gov"),
        _other("PDDL-1.0", "", f"{odc}pddl/1-0/", "ODC Public Domain Dedication & License 1.0"),
        _other("ODC-By-1.0", "by", f"{odc}by/1-0/", "Open Data Commons Attribution License 1.0"),
        _other("ODbL-1.0", "by sa", f"{odc}odbl/1-0/", "Open Database License 1.0"),
        _other("LAL-1.2", "by sa", "https://artlibre.org/licence/lal/licence-art-libre-12/",
               "Free Art License 1.2"),
        _other("LAL-1.3", "by sa", "https://artlibre.org/", "Free Art License 1.3"),
        *[_other(f"OGL-UK-{n}.0", "by", f"{_OGL_UK}{n}/", f"Open Government Licence v{n}.0")
          for n in (1, 2, 3)],
        _other("OGL-Canada-2.0", "by", "https://open.canada.ca/en/open-government-licence-canada",
               "Open Government Licence - Canada 2.0"),
        _other("CDLA-Permissive-1.0", "by", f"{cdla}permissive-1-0/",
               "Community Data License Agreement Permissive 1.0"),
        _other("CDLA-Permissive-2.0", "by", f"{cdla}permissive-2-0/",
               "Community Data License Agreement Permissive 2.0"),
        _other("CDLA-Sharing-1.0", "by sa", f"{cdla}sharing-1-0/",
               "Community Data License Agreement Sharing 1.0"),
        _other("etalab-2.0", "by", "https://www.etalab.gouv.fr/licence-ouverte-open-licence",
               "Etalab Open License 2.0"),
        _other("DL-DE-BY-2.0", "by", "https://www.govdata.de/dl-de/by-2-0",
               "Data licence Germany – attribution – version 2.0"),
        _other("DL-DE-ZERO-2.0", "", "https://www.govdata.de/dl-de/zero-2-0",
               "Data licence Germany – zero – version 2.0"),
        _other("NLOD-1.0", "by", "https://data.norge.no/nlod/en/1.0",
               "Norwegian Licence for Open Government Data 1.0"),
        _other("NLOD-2.0", "by", "https://data.norge.no/nlod/en/2.0",
               "Norwegian Licence for Open Government Data 2.0"),
        *_gfdl(),
    ]  # fmt: skip


CREATIVE_COMMONS: Final[tuple[Tool, ...]] = tuple(_creative_commons())
OTHERS: Final[tuple[Tool, ...]] = tuple(_others())
TOOLS: Final[Mapping[str, Tool]] = MappingProxyType({t.id: t for t in CREATIVE_COMMONS + OTHERS})
_BY_UNIT = {(t.unit, t.version, t.jurisdiction): t for t in CREATIVE_COMMONS}
_BY_FAMILY = {(t.family, t.version, t.jurisdiction): t for t in CREATIVE_COMMONS}
_BY_FOLDED = {id_.lower(): tool for id_, tool in TOOLS.items()}
UNITS: Final = frozenset(t.unit for t in CREATIVE_COMMONS)
FAMILIES: Final = frozenset(t.family for t in CREATIVE_COMMONS)
VERSIONS: Final = frozenset(t.version for t in CREATIVE_COMMONS)


def _without_version() -> list[Tool]:
    """One entry a living family: what `CC BY` means when a recipe accepts it by name."""
    families = [t for t in CREATIVE_COMMONS if t.version == "4.0"]
    return [
        replace(
            t, id=t.family, version="", kind="versionless", spdx=f"LicenseRef-{t.family}",
            url=f"{CC_URL}licenses/{t.unit}/", title=t.title.removesuffix(" 4.0 International"),
            identifier=f"CC {t.unit.upper()}",
        )
        for t in families
    ]  # fmt: skip


VERSIONLESS: Final[Mapping[str, Tool]] = MappingProxyType({t.id: t for t in _without_version()})
"""Families without a version, which the parser never gives as an id."""


def tool(id_: str) -> Tool:
    """The tool of a canonical id, or of a family accepted without version such as `CC-BY`.

    Raises KeyError for an id that is in neither table.
    """
    return TOOLS.get(id_) or VERSIONLESS[id_]


def find(id_: str) -> Tool | None:
    """The tool of a canonical id in any letter case, or None."""
    return _BY_FOLDED.get(id_.lower())


def by_unit(unit: str, version: str, port: str = "") -> Tool | None:
    """The tool at `licenses/<unit>/<version>/<port>/`, or None where there is no such page."""
    return _BY_UNIT.get((unit, version, port))


def by_family(family: str, version: str, port: str = "") -> Tool | None:
    """The tool of a family such as `CC-BY-SA` in a version and port, or None."""
    return _BY_FAMILY.get((family, version, port))


def by_url(url: str) -> Tool | None:
    """The tool whose canonical URL this is, exactly; `parse(url, "url")` knows the other forms."""
    return _BY_URL.get(url)


_BY_URL = {t.url: t for t in CREATIVE_COMMONS}
