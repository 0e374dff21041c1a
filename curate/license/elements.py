"""What the elements of Creative Commons titles are called, language by language.

Facts of the published titles, in one list an element; spaces also stand for a hyphen or nothing.
"""

from __future__ import annotations

from typing import Final

ENGLISH: Final[dict[str, str]] = {
    "by": "attrib|attribution",
    "nc": "non commercial|non-commercial|noncommercial|noncommercial use",
    "nd": "no deriv|no derivative|no derivative works|no derivatives|no derivs|noderiv|"
    "noderivatives|noderivativeworks|noderivs",
    "sa": "share alike|sharealike",
}  # fmt: skip

OTHER_LANGUAGES: Final[dict[str, str]] = {
    "by": "aitortu|atribucija|alıntı|atribucion|atribució|atribución|atribuicao|atribuire|atribuite|"
    "atribuição|atribuo|atribusi|atsaucoties|attiecinājums|attribusi|attribuzione|atıf|"
    "autorile viitamine|autorstvo|erkenning|erkännande|ghi công|ghi nhận công của tác giả|"
    "imenovanje|naamsvermelding|namensnennung|navngivelse|navngiving|nevezd meg|"
    "nevezd meg!|nimea|nimeä|paternite|paternité|pengiktirafan|priskyrimas|"
    "priznanje avtorstva|qaphela umnikazi|reconeixement|reconocimiento|recoñecemento|"
    "tsebagatšo|uvedte puvod|uveďte autora|uveďte původ|uznanie autorstwa|"
    "αναφορά δημιουργού|атауын сақтау|атрибуция|атрибуцыя|атрибуція|атрыбуцыя|ауторство|"
    "зазначення авторства|наведи извор|наведиизвор|наименование|признание|"
    "с указанием авторства|із зазначенням авторства|հեղինակի նշում|հղում|ייחוס|نسب|"
    "نسب العمل|نسب المصنف|نسب المُصنَّف|نَسب المُصنَّف|ఆపాదింపు|കടപ്പാട്|"
    "ข้อกำหนดการอ้างอิง|แสดงที่มา|ავტორობის მითითებით|姓名標示|署名|表示|저작자표시",
    "nc": "bukankomersial|e sego tša kgwebo|e sego ya kgwebo|ei kaupallinen|eikaupallinen|"
    "epäkaupallinen|ezkomertziala|gayri ticari|gayriticari|icke kommersiell|"
    "ickekommersiell|ikke kommerciel|ikkekommerciel|ikkekommersiell|"
    "keine kommerzielle nutzung|mitteäriline|mitteäriline eesmärk|nao comercial|ne add el|"
    "ne add el!|necomercial|nekomerce|nekomercialno|nekomercijalno|nekomercinis|"
    "nekomercinis platinimas|nekomerciāli|nekomerciāls|nekomerčné použitie|"
    "nekomerční užití|neužívejte dílo komerčně|neužívejte komerčně|"
    "nevyužívejte dílo komerčně|nevyužívejte komerčně|nicht kommerziell|nicht-kommerziell|"
    "nichtkommerziell|niekommersieel|niet commercieel|nietcommercieel|no comercial|"
    "nocomercial|non commerciale|noncomercial|noncommerciale|nonkomersial|não comercial|"
    "nãocomercial|pas d utilisation commerciale|pas d'utilisation commerciale|"
    "phi thương mại|ungayisebenziseli ezentengiselwano|uso não comercial|uso não-comercial|"
    "użycie niekomercyjne|μη εμπορική χρήση|коммерциялық емес|некомерсиално|некомерцијално|"
    "некомерційна|некоммерческая|некоммерчески|некоммерческое|некоммерческое использование|"
    "ոչ-առևտրային օգտագործում|שימוש לא מסחרי|غير تجاري|غیر تجاری|অ-বানিজ্যিক|অবাণিজ্যিক|"
    "ไม่ใช่เพื่อการค้า|ไม่ใช้เพื่อการค้า|არაკომერციული|არაკომერციული გამოყენებისათვის|"
    "არაკომერციული გამოყენებისთვის|非商业性使用|非商業性|非営利|비영리",
    "nd": "be išvedinių|bez izvedenica|bez odvozených děl|bez prerada|bez utworów zależnych|"
    "brez predelav|ei muutoksia|eimuutoksia|fără derivate|fără modificări|fărăderivate|"
    "fărămodificări|geen afgeleide werken|geenafgeleidewerken|geenafleidings|"
    "inga bearbetningar|ingabearbetningar|ingen bearbeidelse|ingen bearbejdelse|"
    "ingenbearbeidelse|ingenbearbejdelse|jokių išvestinių kūrinių|keine bearbeitung|"
    "keine bearbeitung erlaubt|keine bearbeitungen|keinebearbeitung|keinebearbeitungen|"
    "không phái sinh|laneratorririkgabe|nav atvasinājumu|ne változtasd|ne változtasd!|"
    "neatvasinot|nemainīts|nemodifite|nezasahujte|nezasahujte do díla|nezpracovávejte|"
    "no derivadas|no opere derivate|non opere derivate|nonoperederivate|nooperederivate|"
    "pas d'oeuvre dérivée|pas d'oeuvres dérivées|pas de modification|pas de modifications|"
    "proibição de realização de obras derivadas|sem derivados|sem derivações|semderivados|"
    "semderivações|senobraderivada|sense obra derivada|senseobraderivada|sin derivadas|"
    "sin derivar|sin obra derivada|sin obras derivadas|sinderivadas|sinderivar|"
    "sinobraderivada|sinobrasderivadas|tanpa turunan|tanpaturunan|tiadaterbitan|"
    "tuletatud teoste keeld|türetilemez|tše sa fetolwego|ungasuseli lutho kulokhu|"
    "vedada a criação de obras derivadas|vedada a criação de obras derivativas|"
    "vedadas obras derivadas|όχι παράγωγα έργα|без похідних|без прерада|без производни|"
    "без производных|без производных произведений|безадаптиранидела|безизведенидела|"
    "безпроизводных|туынды жасамау|туындысыз|օգտագործում առանց վերափոխումների|"
    "איסור יצירות נגזרות|غير مشتق|لا اشتقاق|منع الاشتقاق|ไม่ดัดแปลง|ไม่แก้ไขดัดแปลง|"
    "გადამუშავების გარეშე|გადამუშავებული ნაწარმოების შექმნის გარეშე|改変禁止|禁止改作|禁止演绎|변경금지",
    "sa": "analogiškas platinimas|aynı lisansla paylaş|aynılisanslapaylaş|bagikan serupa|"
    "berbagi serupa|berbagiserupa|chia sẻ tương tự|compartilha igual|compartilhaigual|"
    "compartilhamento pela mesma licença|compartir bajo la misma licencia|compartir igual|"
    "compartirderivadasigual|compartirigual|condividi allo stesso modo|del på like vilkår|"
    "del på samme vilkar|del på samme vilkår|dela lika|delalika|delipodistimuslovima|"
    "deliti pod istim uslovima|deljenje pod enakimi pogoji|delpålikevilkår|"
    "delpåsammevilkår|dijeli pod istim uvjetima|distribuie-în-condiţii-identice|"
    "distribuire în condiții identice|distribuire-în-condiţii-identice|gelijk delen|"
    "gelijkdelen|insgelyksdeel|jaa samoin|jaasamoin|jagamine samadel tingimustel|"
    "licenciamiento recíproco|licenciar igual|licenciarigual|lisansı devam ettirme|"
    "lisansıdevamettirme|līdzvērtīgs|mohlakanelwa|na tych samych warunkach|"
    "nemainot licenci|partage dans les memes conditions|partage dans les mêmes conditions|"
    "partage des conditions initiales à l identique|"
    "partage des conditions initiales à l'identique|partage à l identique|"
    "partage à l'identique|partajare în condiţii identice|partajare în condiții identice|"
    "partekatuberdin|partilha nos termos da mesma licença|perkongsian serupa|"
    "perkongsianserupa|samkondiĉe|stessalicenza|tarttuva|"
    "weitergabe unter gleichen bedingungen|yihlanganyeleni|zachovejte licenci|"
    "zihlanganyeleni|így add tovább|így add tovább!|παρόμοια διανομή|"
    "делити под истим условима|на тех же условиях|поширення на тих самих умовах|"
    "распространение на тех же условиях|с сохранением условий|сохранение условий|"
    "сохранениеусловий|споделиподистиуслови|споделяне на споделеното|համանման տարածում|"
    "שיתוף זהה|الترخيص بالمثل|المشاركة على قدم المساواة|อนุญาตแบบเดียวกัน|"
    "გადაცემა იგივე პირობებით|გავრცელება იგივე პირობებით|გამოყენება იგივე პირობებით|相同方式共享|"
    "相同方式分享|継承|동일조건변경허락",
}  # fmt: skip

WHOLE: Final[dict[str, str]] = {
    "sampling": "sampling",
    "sampling+": "sampling +|sampling plus|sempliranje plus|specimeno plus|sämpläys plus|サンプリング・プラス|"
    "取样使用加强版|特別取樣|샘플링 플러스",
    "devnations": "developing nations|devnations",
    "zero": "0|zero",
    "pdm": "etiqueta de dominio público|kamuya açık eser işareti|marca de domini públic|"
    "marca de dominio público|marca de domínio público|marcação de domínio público|"
    "marchio di pubblico dominio|marque du domaine public|oznaczenie domeny publicznej|"
    "oznaka javnog dobra|pdm|public domain -merkki|public domain mark|"
    "public domain markeret|public domain-merket|public-domain-märke|"
    "publiek domein markering|publikaĵa marko|σήμα δημόσιου τομέα|علامة المجال العام|"
    "パブリック・ドメイン・マーク|公共領域標誌|公共领域标志|公共领域标记|公眾領域標誌",
    "pddc": "pddc|public domain certification|public domain dedication and certification",
    "pd": "domaine public|domena publiczna|domini públic|dominio público|domínio público|"
    "gemeinfrei|javna domena|javno dobro|kamu malı|közkincs|offentlig domæne|"
    "offentlig egendom|openbare domein|pd|pubblico dominio|public domain|"
    "public domain dedication|publicdomain|publiek domein|volné dílo|δημόσιος τομέας|"
    "κοινό κτήμα|общественное достояние|суспільне надбання|パブリックドメイン|パブリック・ドメイン|公共領域|公共领域|"
    "퍼블릭 도메인",
}  # fmt: skip
