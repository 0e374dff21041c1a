"""What each licence asks of a credit, by family and version, with the clause that asks it.

Every Creative Commons version asks for what was supplied with the work, "reasonable to the
medium"; what differs is the list. Read from the legal codes; not legal advice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from curate.license.tools import Tool

Part = Literal["author", "parties", "title", "source", "copyright notice", "changes"]
Changes = Literal["always", "adaptations", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What a licence asks of whoever shares a picture.

    `parts` must be given where they were supplied. `changes` says when changes must be told:
    `always`, of `adaptations` only, or `none`. `removal` is the clause by which a licensor may have
    the credit taken out, `clause` the one that asks for it; both are empty where there is none.
    """

    parts: tuple[Part, ...] = ()
    changes: Changes = "none"
    clause: str = ""
    removal: str = ""

    @property
    def stated(self) -> tuple[Part, ...]:
        """The parts that every picture has, so that one nobody stated is missing.

        Notices and further parties exist for some pictures only: they are kept where supplied.
        """
        return tuple(part for part in self.parts if part in ("author", "title", "source"))


NONE: Final = Duties()
_FREE: Final = frozenset({"cc0", "pdm", "pddc", "us_gov"})
_CC: Final[dict[str, Duties]] = {
    "1.0": Duties(
        parts=("author", "title", "copyright notice"), changes="adaptations",
        clause="section 4, credit", removal="section 4(a)",
    ),
    "2.0": Duties(
        parts=("author", "title", "source", "copyright notice"), changes="adaptations",
        clause="section 4, credit", removal="section 4(a)",
    ),
    "2.5": Duties(
        parts=("author", "parties", "title", "source", "copyright notice"), changes="adaptations",
        clause="section 4, credit", removal="section 4(a)",
    ),
    "3.0": Duties(
        parts=("author", "parties", "title", "source", "copyright notice"), changes="adaptations",
        clause="sections 3(b) and 4, credit", removal="section 4(a)",
    ),
    "4.0": Duties(
        parts=("author", "parties", "source", "copyright notice", "changes"), changes="always",
        clause="section 3(a)(1)", removal="section 3(a)(3)",
    ),
}  # fmt: skip
_CC["2.1"] = _CC["2.0"]  # the four ports of 2.1 ask what 2.0 asks
_STRICTEST: Final = Duties(
    parts=("author", "parties", "title", "source", "copyright notice", "changes"),
    changes="always", clause="of every version, the most that one asks", removal="of every version",
)  # fmt: skip
_NOTED: Final = Duties(parts=("author", "source", "copyright notice"), changes="adaptations")
_OPEN: Final[dict[str, Duties]] = {
    "GFDL": Duties(
        parts=("author", "title", "copyright notice", "changes"), changes="always",
        clause="sections 2 and 4",
    ),
    "LAL": Duties(
        parts=("author", "source", "changes"), changes="always", clause="sections 2.2 and 2.3",
    ),
    "OGL": Duties(parts=("author", "source"), clause="the attribution statement of the provider"),
    "ODC": Duties(parts=("source", "copyright notice"), clause="sections 4.2 and 4.3"),
    "ODbL": Duties(parts=("source", "copyright notice"), clause="sections 4.2 and 4.3"),
    "DL": Duties(
        parts=("author", "source", "changes"), changes="adaptations", clause="sections 2 and 3",
    ),
    "etalab": Duties(parts=("author", "source"), clause="the mention of paternity"),
    "NLOD": Duties(parts=("author", "source", "changes"), changes="adaptations", clause="section 5"),
    "CDLA": Duties(parts=("copyright notice",), clause="the terms for sharing data"),
}  # fmt: skip


def duties(found: Tool) -> Duties:
    """What a tool asks; of a family accepted without a version, the most that any version asks.

    A port asks what its version asks. Public domain tools ask nothing: a credit is courtesy.
    """
    if found.kind in _FREE or (found.kind == "open" and not found.by):
        return NONE
    if found.kind == "versionless":
        return _STRICTEST
    if found.kind == "open":
        return _OPEN.get(found.id.split("-")[0], _NOTED)
    asked = _CC[found.version]
    if found.by or found.unit == "devnations":
        return asked
    return replace(asked, parts=("copyright notice",))  # retired tools that ask for no credit


def verb(found: Tool) -> str:
    """How a credit joins a picture to its tool: a mark is no licence, a waiver none either."""
    words = {"cc0": "released under", "pdm": "marked with", "pddc": "dedicated by",
             "us_gov": "as a"}  # fmt: skip
    return words.get(found.kind, "licensed under")
