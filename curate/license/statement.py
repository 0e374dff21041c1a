"""Whether the words around a licence mention are a licence statement, and nothing else.

Words that withdraw or limit a grant cannot all be listed, so those that make one are: what stands
in the mention's own clause or behind it must be known words or names.
"""

from __future__ import annotations

import re
from typing import Final

from curate.license.caveats import DATED, PICTURE, SCOPE
from curate.license.tokens import CJK
from curate.license.words import LICENCE, VERSION, word_set

_GRANTING = word_set(
    # English: notices, credit lines, the usual open access sentence
    "a an and are as at available be been by c can code copyright copyrighted creative commons "
    "credit credits creator author artist photographer owner holder uploader contributor copr "
    "deed dedicated details distribute distributed distribution domain dual either file files "
    "following found free freely from full has have here hereby holder https http i image images "
    "in info information international into is issued it its legal legalcode licensee licensor "
    "link made marked material media medium more my of offered on online open or option our "
    "original own page permits permit photo photograph photographs photography photos pic picture "
    "pictures please provided provider public publicly published publisher release released "
    "reproduction rights s see share shared source statement status subject tagged terms that the "
    "their these this those title to under universal unported generic unrestricted upload "
    "dc dcterms publish uploaded url usage use used using version via view visit was web website which with work "
    "works www you your any both choice licence's license's credited cited properly access "
    "article permitted noted stated otherwise waived extent possible law all related "
    "neighboring neighbouring to conditions condition adapted cropped resized retouched modified "
    "edited converted changes change alterations colour color colours colors adjusted artwork "
    "illustration drawing painting graphic scan video clip stock flickr wikimedia wikipedia "
    "unsplash pixabay pexels user username contributors photographer's author's attribution "
    "name named id note notice date year permission-free royalty-free some reserved content "
    "may through thanks taken attribute acknowledge sharing adaptation adapt remix remixed format indicate provide give "
    "appropriate view send letter po box suite applies apply applied placed posted put give given appropriate required require requires "
    "must if-needed redistribution copy copies verify certificate abgerufen "
    # German, Dutch, Scandinavian
    "dieses dieser diese dies werk bild foto fotos ist sind lizenziert lizensiert unter einer einem "
    "der die das den dem des von vom und veröffentlicht verfügbar steht stehen namens quelle "
    "urheber fotograf autor bildquelle bildnachweis lizenzhinweis freigegeben gestellt dit deze "
    "afbeelding gelicenseerd gelicentieerd onder een het van valt beschikbaar gepubliceerd bron auteur "
    "fotograaf detta denna verk bild bilder är licensierat licensierad under en ett tillgänglig "
    "tillgängligt källa upphovsman av dette denne værk verket billede bilde er licenseret lisensiert "
    "lisensieret udgivet publisert tilgjengelig kilde fotograf ophavsmand opphavsperson den "
    "tämä teos kuva on lisensoitu käyttöluvalla käyttöluvan lisenssillä kansainvälinen lähde "
    # French, Spanish, Catalan, Italian, Portuguese, Romanian
    "cette ce cet œuvre oeuvre est sont mise mis à disposition selon les le la l termes de des du "
    "d publiée publié photographie crédit crédits auteur droits conditions sous contrat "
    "esta este obra imagen fotografía está están bajo una un el los las por del disponible "
    "publicada publicado fuente autor autora crédito derechos términos con aquesta aquest obra "
    "està subjecta una llicència imatge font amb sota quest'opera questa questo opera è "
    "distribuita distribuito con concessa immagine fonte autore sotto trabalho imagem está "
    "licenciado licenciada com uma sob fonte autoria crédito termos da do disponível această "
    "operă este pusă sub o imagine sursă "
    # Slavic and others
    "ten ta to utwór zdjęcie jest dostępny dostępna dostępne udostępniony udostępniona na licencji "
    "autor źródło obraz toto dílo podléhá licenci uveďte snímek pod zdroj ovo djelo je dano na "
    "korištenje pod licencom ez mű a nemzetközi licenc feltételeinek megfelelően "
    "felhasználható bu eser ile lisanslanmıştır karya ini dilisensikan di bawah lisensi "
    "это произведение изображение фотография доступно доступна по под лицензией лицензии на "
    "условиях ползва условията това дело ово је лиценцирано условима лиценце автор источник лицензия фото цей твір доступний ліцензією джерело"
)
KNOWN: Final = _GRANTING | LICENCE | VERSION
_CREDITING: Final = word_set(
    "by © copyright photo photographer foto image picture author creator artist credit credits via "
    "from von par por di de av door autor auteur autore fotograf title source user owner holder "
    "courtesy to at visit see of"
)
"""Words behind which a name may stand, in small letters too."""
_GRANT = re.compile(
    r"(?:licen[sc]ed|released|published|available|distributed|shared|provided|offered|issued|"
    r"placed|posted|uploaded|dedicated|waived)(?: (?:here|freely|publicly|online|to the public|"
    r"for (?:re)?use))? (?:under|with|by|as|using|via|to|into|in)(?: the| a| an)?"
    r"(?: (?:terms|conditions)(?: and conditions)? of(?: the| a| an)?)?(?: following)?[ (\"':]*"
    r"(?:licen[sc]e[ (\"':]*)?$",
    re.IGNORECASE,
)
_ALTERED = re.compile(r"\b(?:modified|adapted|edited|altered|converted)\W*$", re.IGNORECASE)
_EXPLAINED = re.compile(r"\W*(?:is|are|means?|allows?|lets?|does)\b", re.IGNORECASE)
_NOTED = re.compile(r"\s?[*†‡]")
_CJK_GRANTING = re.compile(
    "本作品|本著作|著作|係|この|作品|この作品|作品|本图片|图片|圖片|画像|写真|摄影|攝影|撮影|作者|来源|來源|出典|根据|根據|依据|依據|采用|採用|使用|"
    "进行|進行|许可|許可|授权|授權|协议|協議|条款|條款|释出|釋出|提供|发布|發布|基于|以|由|的|按|在|下|"
    "は|の|に|で|を|が|と|されています|されている|ライセンス|公開|提供|もと|下|許諾|"
    "이|저작물은|작품은|사진은|라이선스|라이선스에|따라|이용할|수|있습니다|에|의|로|하에|배포|공개|"
    "国际|國際|国際|국제|版|クリエイティブ|コモンズ|知识共享|創用|크리에이티브|커먼즈"
)
_CLAUSE = re.compile(r"[;,()\[\]{}|/•·\"“”«»]|[.!?。]\s|[。、，；：]| - |:\s")
_LABEL = re.compile(r"(?:^|[.;|(,/]) ?([^\W\d_]{2,30}) ?: ?[(\"']?$")
_WORD = re.compile(r"©|[^\W\d_]+(?:['’][^\W\d_]+)*")
_ACCOUNT = re.compile(r"\w+")
_CASELESS = re.compile(rf"[{CJK}]")


def unclear(rest: str, start: int, end: int) -> bool:
    """Whether unknown words stand in the clause before a mention, or anywhere behind it.

    `rest` is the text with all mentions and addresses blanked out.
    """
    if DATED.match(rest, end):
        return True
    clauses = [m.end() for m in _CLAUSE.finditer(rest, 0, start)]
    before = rest[clauses[-1] if clauses else 0 : start]
    behind = rest[end:]
    label = _LABEL.search(rest, 0, start)
    if label and label[1] == label[1].lower() and _strange(label[1]):
        return True
    if SCOPE.search(before) and not PICTURE.search(before):
        return True
    subject = "" if _GRANT.search(before.strip()) else before
    starred = _NOTED.match(behind) and not before.endswith("*")
    altered = _ALTERED.search(before) or _EXPLAINED.match(behind) or starred
    return bool(altered) or _strange(subject) or _strange(behind)


def _strange(text: str) -> bool:
    """Whether a stretch of text holds a word that is neither known nor a name."""
    named = False
    for word in _WORD.findall(_ACCOUNT.sub(_unless_account, text)):
        folded = word.lower()
        if folded in _CREDITING:
            named = True
        elif _CASELESS.search(word):
            if not named and _CASELESS.search(_CJK_GRANTING.sub("", word)):
                return True
        elif word == folded and not named and folded not in KNOWN and len(word) > 1:
            return True
    return False


def _unless_account(match: re.Match[str]) -> str:
    """A word, or a space for a user name: letters with digits or underscores among them."""
    word = match[0]
    plain = word.strip("_").isalpha() or word.isdigit()
    return word if plain and "_" not in word.strip("_") else " "
