"""Words around a licence mention that withdraw it, limit it or doubt it, and those that do not.

The text is searched after mentions and addresses are blanked out, so nothing inside them counts.
"""

from __future__ import annotations

import re
from typing import Final

NEUTRAL: Final = re.compile(
    r"(?:(?:unless|except|if|where|not) ){1,3}otherwise (?:not )?"
    r"(?:noted|stated|indicated|specified)"
    r"|(?:sofern|soweit|wenn) nicht anders \w+|sauf (?:mention|indication) contraire"
    r"|based on (?:a|the) work at\b|permissions beyond the scope of this (?:public )?licen[sc]e "
    r"(?:may be|are) available(?: at| from)?|permission is (?:hereby )?granted (?=under )"
    r"|you (?:may|can) choose (?:between )?|see(?=\s+for (?:the )?(?:full )?licen[sc]e )"
    r"|for (?:the )?(?:full )?licen[sc]e (?:terms|details|information|text)"
    r"|(?:beruht|basiert) auf (?:einem|dem) werk unter|basado en una obra en|fondé(?:\(e\))? sur une "
    r"œuvre à|gebaseerd op een werk op"
    r"|free of (?:known )?(?:copyright )?restrictions(?: under copyright law)?"
    r"(?:,? including all related and neighbou?ring rights)?|\bno\.? ?(?=[0-9])"
    r"|\"[^\"]{1,120}\" (?=(?:by|von|par|por|di) )|no rights reserved|no copyright(?! infringement)|no attribution (?:is )?required"
    r"|(?:no|without) (?:changes|modifications?|alterations)(?: (?:were |have been )?made)?"
    r"|not (?:been )?(?:modified|altered|changed)|without (?:any )?warranty|"
    r"as long as you give appropriate credit(?: to the original author(?:s|\(s\))?(?: and the "
    r"source)?)?|indicate if (?:any )?changes were made|"
    r"(?:some|certains|algunos|einige) (?:rights|droits|derechos|rechte) "
    r"(?:reserved|réservés|reservados|vorbehalten)",
    re.IGNORECASE,
)
RESERVED: Final = re.compile(
    r"all rights? (?:are )?reserved|alle rechte vorbehalten|tous droits réservés|"
    r"todos (?:los|os) (?:derechos|direitos) reservados|tutti i diritti riservati|"
    r"alle rechten voorbehouden|все права защищены|wszelkie prawa zastrzeżone|"
    r"(?<!some )\brights reserved|版权所有|無断転載禁止|in copyright",
    re.IGNORECASE,
)
LIMITS: Final = re.compile(
    r"(?=[a-z])(?:"  # every alternative begins with a letter: other places are passed at once
    r"non[- ]?commercial|personal use|private use|educational|editorial|research only|"
    r"\bmetadata\b|\b(?:data|dataset|database|texts?|code|software|audio|music|descriptions?|captions?|"
    r"thumbnails?|previews?)(?: only)? ?(?::|is\b|are\b|licen|under\b)|text only|permission|only for|"
    r"for .{0,30}\bonly\b|"
    r"\buse only\b|\bonly use\b|\btdm\b|\breserved\b|\bon condition\b|\brefus|\bden(?:y|ie[sd])\b|"
    r"\bdeclin(?:e|es|ed)\b|\bexclud|\bexcept|\bexpired|\brevoked|\bwithdrawn|\bformerly|\bpreviously|\bno longer|"
    r"\bdisputed|\bviolat|\binfring|\bfair use|\bcontact\b|\bprohibited|\bforbidden|\brestrict|"
    r"\bcommercial licen|\binstead\b|\brather than|\bother than|\bceased|\bterminated|\bpaid\b|\bfee\b|\broyalty required)",
    re.IGNORECASE,
)
DOUBT: Final = re.compile(
    r"\b(?:maybe|perhaps|probably|possibly|presumably|apparently|allegedly|unknown|unclear|unsure|"
    r"uncertain|pending|tbd|tbc|todo|might|could|would|should|will|wish|hope|vermutlich|"
    r"vielleicht|peut[- ]être|similar|compatible|equivalent|comparable|inspired|style|like|"
    r"example|e\.g|purported(?:ly)?|supposed(?:ly)?|assumed|claims? to|versus|vs|upgrade[ds]?|"
    r"contains?|derived|based on|portions?|parts?|partly|partially|draft|proposed|under review|"
    r"consider(?:ing)?|request(?:ed|ing)?|asked|fake|until|if|once|originally|initially|earlier|"
    r"former|used to|to be|only|otherwise|(?:old|previous|prior|past|future|"
    r"next|intended|planned|expected|desired)(?: \w+)? (?:licen[sc]es?|lizenz|licencia)|may be|may not|see (?:notes?|below|above|terms)|(?:terms|conditions) apply|"
    r"negative|next (?:year|month|week)|embargo(?:ed)?|screenshots? of|about|history of|faqs?|choose|choosing|suggested|recommend(?:ed)?|explained|"
    r"guide to|introduction to|tutorial|what (?:is|are|does)|how (?:to|do|does|can)|why|n/a|was(?! (?:released|published|uploaded|posted|issued|made|placed|dedicated|put|"
    r"shared|taken|created|photographed|shot|first|cropped|resized))|had been|were|changed|removed|deleted|replaced|switched|relicensed|"
    r"re-licensed|retracted|cancel+ed|suspended|superseded|obsolete|deprecated|outdated|before|"
    r"after|additional|as long as|provided that|limited|consent|void|invalid|wrong|incorrect|"
    r"mistake|mistakenly|error|erroneous(?:ly)?|falsely|illegal(?:ly)?|stolen)\b|~~",
    re.IGNORECASE,
)
CREDITED: Final = re.compile(
    r"(?:\b(?i:by|von|par|por|photo:|foto:|credit:|author:|photographer:)|©|\([cC]\)) ?"
    r"(?:(?:19|20)\d\d )?(?P<name>[A-Z][\w'’-]+(?: [A-Z]\.)?(?: [A-Z][\w'’-]+){1,2})"
    r"(?=\s*(?:[/,(|.;]|$| - |  | is\b))"
    r"|^(?:Will|Hope) [A-Z][\w'’-]+(?=, {3})",
)
"""A name of two or three capitalised words, which may be one such as Will or Hope."""
DATED: Final = re.compile(
    r"\W{0,3}(?:from|since|by|in|on|until|till|as of|effective|starting|ab|seit|depuis|desde|dal)"
    r"(?: \w+){0,3}? (?:19|20)\d\d",
    re.IGNORECASE,
)
"""Directly behind a mention: a time that the grant begins or ends."""
SCOPE: Final = re.compile(
    r"\b(?:texts?|data|datasets?|databases?|metadata|code|software|audio|music|sounds?|lyrics|"
    r"documentation|docs|descriptions?|captions?|frames?|thumbnails?|previews?|annotations?|"
    r"labels?|tags?|layouts?|designs?|fonts?|templates?|transcripts?|translations?|abstracts?|"
    r"models?|weights|api|background|foreground|logos?|icons?|texte|textes|textos?|testo|daten|données|datos|dati|tekst)\b",
    re.IGNORECASE,
)
"""Things beside a picture that a licence may be limited to, where nothing names the picture."""
PICTURE: Final = re.compile(
    r"\b(?:images?|photos?|photographs?|photography|pictures?|pics?|illustrations?|drawings?|"
    r"paintings?|artworks?|works?|files?|foto(?:s|grafie|grafía)?|bild(?:er)?|imágen(?:es)?|"
    r"imagen(?:es)?|œuvre|oeuvre|werk|obra|opera)\b",
    re.IGNORECASE,
)
SOFTWARE: Final = re.compile(
    r"\b(?:[al]?gpl|bsd|mpl|mit licen[sc]e|apache licen[sc]e|apache[- ]2)\b|(?:and|&|\+) mit\b",
    re.I,
)
UNNAMED: Final = re.compile(
    r"\b(?:gfdl|gnu free documentation licen[sc]e|gnu fdl|free art licen[sc]e|"
    r"licence art libre|copyrighted free use|copyleft|open government licen[sc]e|"
    r"open database licen[sc]e|some rights reserved|no rights reserved)",
    re.IGNORECASE,
)
NO_KNOWN: Final = re.compile(r"no known (?:copyright )?restrictions?|no known copyright", re.I)
