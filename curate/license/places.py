"""What the places of ported licences are called, language by language, and what unported ones say.

Facts of the published titles: the port by its code, then the names it has there.
"""

from __future__ import annotations

from typing import Final

PLACES: Final[dict[str, str]] = {
    "am": "armenia|armenien|arménie|армения|հայաստան",
    "ar": "argentiina|argentina|argentine|argentinien|argentinië|argentino|argentyna|argentína|"
    "argentīna|argjentinë|arjantin|e-argentina|nước achentina|αργεντινή|аргентина|"
    "аргентына|аржентина|արգենտինա|ארגנטינה|آرژانتین|الأرجنتين|అర్జెంటీనా|അർജന്റീന|"
    "อาร์เจนตินา|არგენტინა|アルゼンチン|阿根廷",
    "at": "austri|austria|austrija|ausztria|autriche|avstrija|avusturya|aŭstrujo|i-austria|"
    "itävalta|nước austria|oostenrijk|oostenryk|rakousko|àustria|áustria|österreich|"
    "österrike|østerrike|østrig|αυστρία|австрия|австрија|аустрија|аўстрыя|אוסטריה|اتریش|"
    "النمسا|ఆస్ట్రియా|ആസ്ട്രിയ|ออสเตรีย|ავსტრია|オーストリア|奥地利|奧地利|오스트리아",
    "au": "austraalia|australi|australia|australie|australien|australija|australië|austràlia|"
    "austrália|austrálie|austrālija|ausztrália|avstralija|avustralya|aŭstralio|e-australia|"
    "nước úc|αυστραλία|австралия|австралија|аустралија|аўстралія|אוסטרליה|أستراليا|"
    "استرالیا|ఆస్ట్రేలియా|ആസ്ട്രേലിയ|ออสเตรเลีย|ავსტრალია|オーストラリア|澳大利亚|澳大利亞",
    "az": "aserbaidschan|azerbaijan|azərbaycan|азербайджан",
    "be": "belgia|belgie|belgien|belgija|belgika|belgio|belgique|belgium|belgië|belgjikë|belgujo|"
    "belgía|belçika|beļģija|bèlgica|bélgica|bélxica|ebelgium|nước bỉ|βέλγιο|белгия|белгија|"
    "бельги|бельгия|бельгія|բելգիա|בלגיה|بلجيكا|بلژیک|बेलजियम|பெல்ஜியம்|బెల్జియం|ബെൽജിയം|"
    "เบลเยียม|ბელგია|ベルギー|比利时|比利時|벨기에",
    "bg": "bolgarija|bugarska|bulgaaria|bulgaria|bulgarie|bulgarien|bulgarija|bulgarije|"
    "bulgaristan|bulgarujo|bulgarye|bulgària|bulgária|bulgārija|bulharsko|bullgari|"
    "bułgaria|búlgaría|ibulgaria|nước bungari|βουλγαρία|балгарыя|болгар|болгария|болгарія|"
    "бугарија|бугарска|българия|բուլղարիա|בולגריה|بلغارستان|بلغاريا|बुलगेरिया|బల్గేరియా|"
    "ബൾഗേറിയ|บัลแกเรีย|ბულგარეთი|ブルガリア|保加利亚|保加利亞|불가리아",
    "br": "brasiilia|brasil|brasile|brasilia|brasilien|brasilië|brasilía|brazil|brazilia|"
    "brazilija|brazilië|brazilo|brazylia|brazília|brazílie|brazīlija|brezilya|brésil|"
    "ibrazil|nước brazil|βραζιλία|бразил|бразилия|бразилія|бразілія|բրազիլիա|ברזיל|"
    "البرازيل|برزیل|ब्रज़ील|பிரேசில்|బ్రెజిల్|ബ്രസീൽ|บราซิล|ბრაზილია|ブラジル|巴西|브라질",
    "ca": "canada|canadà|canadá|ecanada|kanada|kanado|kanāda|khanada|καναδάς|канада|կանադա|קנדה|"
    "كندا|کانادا|కెనడా|കാനഡ|แคนาดา|კანადა|カナダ|加拿大|캐나다",
    "ch": "elveţia|eswitzerland|isviçre|schweiz|suisse|suitza|suiza|suíça|suïssa|sveits|sveitsi|"
    "svisujo|svizzera|svájc|swiss|switserland|switzerland|szwajcaria|zvicër|zwitserland|"
    "švajcarska|šveicarija|šveice|šveits|švica|švicarska|švýcarsko|ελβετία|швајцарија|"
    "швајцарска|швейцария|швейцарыя|շվեյցարիա|שוויץ|سوسرا|سویس|స్విట్జర్లాండ్|"
    "സ്വിറ്റ്സർലാന്റ്|สวิสเซอร์แลนด์|შვეიცარია|スイス|瑞士|스위스",
    "cl": "chile|chili|chíle|cile|echile|kili|nước chi lê|txile|tšiili|xile|ĉilio|čile|čilė|čīle|"
    "şili|χιλή|чиле|чили|чылі|չիլի|צ'ילה|شيلي|شیلی|சிலி|చిలీ|ചിലി|ชิลี|ჩილე|チリ|智利|칠레",
    "cn": "china|china (vasteland)|china continental|china continentală|china mainland|"
    "china naga-bogareng|chine|chine continentale|chiny|cina|cina daratan|emainland china|"
    "kiina|kina|kinijos žemynas|kinë kontinentale|kitajska|kontinentální čína|kína|"
    "mainland china|mandri-hiina|sjinese vasteland|tanah besar cina|txina|"
    "volksrepublik china|xina|çin halk cumhuriyeti|ĉinujo|ķīna|κίνα|кина|"
    "китай (континентален)|материковый китай|мацерыковы кітай|סין|الصين|چین سرزمین اصلی|"
    "చైనా మెయిన్లాండ్|จีนแผ่นดินใหญ่|ჩინეთი (მატერიკი)|中国大陆|中國大陸|中華人民共和国|중국 본토",
    "co": "colombia|colombie|columbia|colòmbia|colômbia|icolombia|kolombia|kolombio|kolombiya|"
    "kolonbia|kolumbi|kolumbia|kolumbie|kolumbien|kolumbija|κολομβία|калумбія|колумбия|"
    "колумбија|կոլումբիա|קולומביה|كولمبيا|کلمبیا|కొలంబియా|കൊളംബിയ|โคลัมเบีย|კოლუმბია|コロンビア|"
    "哥伦比亚|哥倫比亞|콜롬비아",
    "cr": "costa rica|country.cr|kosta rika|kostarika|kostariko|kostaryka|κόστα ρίκα|коста-рика|"
    "костарика|کاستاریکا|కోస్టా రికా|コスタ・リカ|哥斯大黎加|코스타리카",
    "cz": "cehia|cseh köztársaság|czech repabliki|czech republic|czechia|czechy|eczech republic|"
    "republik ceko|republik czeck|republika çeke|república checa|república txeca|"
    "république tchèque|tjechië|tjeckien|tjekkia|tjekkiet|tschechische republik|tsekki|"
    "tsjeggiese republiek|txekiar errepublika|tšehhi|çek cumhuriyeti|ĉeĥujo|čehija|"
    "čekijos respublika|česko|češka|δημοκρατία της τσεχίας|чехия|чешка|чэхія|"
    "չեխիայի հանրապետություն|צ'כיה|جمهورية التشيك|جمهوری چک|ఛెక్ రిపబ్లిక్|"
    "ചെക്ക് റിപ്പബ്ലിക്ക്|สาธารณรัฐเชค|ჩეხეთის რესპუბლიკა|チェコ共和国|捷克|捷克共和国|체코",
    "de": "alemanha|alemania|alemanya|alemaña|allemagne|almanya|deutschland|duitsland|ejalimane|"
    "germania|germanujo|germany|gjermani|jeremane|jerman|negara jerman|nemačka|nemčija|"
    "niemcy|njemačka|németország|německo|saksa|saksamaa|tyskland|vokietija|vācija|γερμανία|"
    "германия|германија|немачка|нямеччына|գերմանիա|גרמניה|آلمان|المانيا|జర్మనీ|ജെർമൻ|"
    "เยอรมนี|გერმანია|ドイツ|德国|德國|독일",
    "dk": "danemarca|danemark|dania|danija|danimarka|danimarkë|danmark|danska|danujo|denemarke|"
    "denemarken|denmark|dinamarca|dánia|dánsko|dänemark|dānija|edenmark|taani|tanska|δανία|"
    "дания|данска|данія|դանիա|דנמרק|الدنمارك|دانمارک|డెన్మార్క్|ഡെന്മാർക്ക്|เดนมาร์ก|დანია|"
    "デンマーク|丹麥|丹麦|덴마크",
    "ec": "ecuador|ekuador|ekvador|ekvadora|ekvadoras|ekvadoro|ekvádor|ekwador|equador|équateur|"
    "εκουαδόρ|еквадор|эквадор|էկվադոր|אקוודור|اكودار|اکوادور|ఈక్వెడార్|ഇക്വഡോർ|เอกวาดอร์|"
    "ეკვადორი|エクアドル|厄瓜多爾|에콰도르",
    "ee": "country.ee|eesti|estisk|estland|estoni|estonia|estonie|estonija|estonujo|estonya|"
    "estònia|estónia|estônia|viro|εσθονία|естонија|эстония|エストニア|愛沙尼亞|에스토니아",
    "eg": "egypt",
    "es": "espagne|espain|espainia|espana|espanha|espanja|espanya|españa|hispaania|hispanujo|"
    "hiszpania|ispanya|ispanų|nước tây ban nha|sepania|sepanyol|spagna|spain|spania|"
    "spanien|spanje|spanjë|spanyol|spanyolország|spánn|spānija|španija|španjolska|"
    "španělsko|ισπανία|испания|шпанија|іспанія|իսպանիա|ספרד|اسبانيا|اسپانیا|ஸ்பெயின்|"
    "స్పెయిన్|സ്പെയിൻ|สเปน|ესპანეთი|スペイン|西班牙|스페인",
    "fi": "filândia|finland|finlanda|finlande|finlandia|finlandiya|finlandë|finlàndia|finlândia|"
    "finnland|finnország|finska|finsko|ifinland|somija|soome|suomi|suomija|suomujo|"
    "φιλανδία|финландия|финляндия|финска|фінляндыя|פינלנד|فلندا|فنلاند|ఫిన్లాండ్|ഫിൻലാന്റ്|"
    "ฟินแลนด์|ფინეთი|フィンランド|芬兰|芬蘭|핀란드",
    "fr": "efrance|fora|france|francia|franciaország|francie|francija|francja|francujo|francuska|"
    "francë|frankreich|frankrig|frankrijk|frankrike|frankryk|fransa|frantzia|frança|franţa|"
    "perancis|prancūzija|prantsusmaa|ranska|γαλλία|франция|франција|француска|францыя|"
    "ֆրանսիա|צרפת|فرانسه|فرنسا|ఫ్రాన్స్|ഫ്രാൻസ്|ප්‍රංශ|ฝรั่งเศส|საფრანგეთი|フランス|法国|法國|프랑스",
    "ge": "georgia|georgien|georgië|gruzja|géorgie|грузия|საქართველო|グルジア|格鲁吉亚",
    "gr": "dummy (should say \"greece\")|graikija|grecia|grecja|greece|grekland|grekujo|greqi|"
    "griechenland|griekenland|grieķija|grikkland|grækenland|grèce|grècia|grécia|grčija|"
    "grčka|görögország|hellas|kreeka|kreikka|nước hy lạp|yunani|yunanistan|řecko|ελλάδα|"
    "грек|грекия|греция|греція|грција|грчка|грэцыя|гърция|հունաստան|יוון|اليونان|یونان|"
    "ग्रीस|கிரீஸ்|గ్రీస్|ഗ്രീസ്|ග්‍රීසිය|กรีซ|საბერძნეთი|ギリシャ|希腊|希臘|그리스",
    "gt": "country.gt|guatemala|gvatemala|gvatemalo|gwatemala|γουατεμάλα|гватемала|гватэмала|"
    "գվատեմալա|גואטמלה|كاثولونيا|گواتمالا|ഗ്വാട്ടിമാല|กัวเตมาลา|გვატემალა|ガテマラ|瓜地馬拉|과테말라",
    "hk": "country.hk|hong kong|hongkong|honkonga|honkongas|honkongo|χονγκ κονγκ|ганконг|гонконг|"
    "хонг конг|հոնգ կոնգ|הונג קונג|هنگ کنگ|هونج كونج|హాంకాంగ్|ഹോങ്ക്കോംഗ്|හොංකොං|ฮ่องกง|"
    "ჰონგ კონგი|香港|홍콩",
    "hr": "chorvatsko|chorwacja|croacia|croatia|croatie|croazia|croaţia|croàcia|croácia|ecroatia|"
    "horvaatia|horvátország|horvātija|hrvatska|hrvaška|hırvatistan|kroaci|kroasia|kroasië|"
    "kroatia|kroatien|kroatija|kroatië|kroatujo|kroazia|króatía|nước croatia|κροατία|"
    "харватыя|хорватия|хрватска|хърватска|խորվաթիա|קרואטיה|كرواتيا|کرواسی|క్రోయేషియా|"
    "ക്രൊയേഷിയ|โครเอเชีย|ხორვატია|クロアチア|克罗地亚|克羅埃西亞|크로아티아",
    "hu": "hongaria|hongarije|hongarye|hongria|hongrie|hungari|hungaria|hungarujo|hungary|"
    "hungria|hungría|ihungary|macaristan|madjarska|madžarska|magyarország|maďarsko|"
    "mađarska|nước hungary|ungari|ungaria|ungarn|ungern|ungheria|ungverjaland|ungārija|"
    "unkari|vengrija|węgry|ουγγαρία|венгрия|вугоршчына|мађарска|унгария|унгарија|հունգարիա|"
    "הונגריה|مجارستان|هونغاريا|హంగేరీ|ഹംഗറി|ฮังการี|უნგრეთი|ハンガリー|匈牙利|헝가리",
    "ie": "ireland|éire",
    "igo": "igo|intergovernmental organization|intergovernmental organizations",
    "il": "e-israel|iisrael|isiraele|israel|israele|israelo|israil|israël|isreal|izrael|izraelis|"
    "izraēla|nước israel|ísrael|ισραήλ|израел|израиль|израйль|ізраіль|իսրայել|ישראל|"
    "اسرائيل|इसरैल|ఇజ్రాయిల్|ഇസ്രായൽ|อิสราเอล|ისრაელი|イスラエル|以色列|이스라엘",
    "in": "barato|endiya|hindistan|inde|indi|india|indie|indien|indiešu|indija|indië|indland|"
    "intia|nước ấn độ|índia|ινδία|индия|индија|энэтхэг|індыя|հնդկաստան|הודו|الهند|هندوستان|"
    "भारत|இந்தியா|భారతదేశం|ഇന്ത്യ|อินเดีย|ინდოეთი|インド|印度|인디아",
    "it": "i-italy|itaalia|itali|italia|italie|italien|italija|italië|italujo|italy|italya|"
    "itàlia|itália|itálie|itāļu|nước italy|olaszország|włochy|ítalía|ιταλία|итали|италия|"
    "италија|італія|իտալիա|איטליה|ايطاليا|ایتالیا|इटली|இத்தாலி|ఇటలీ|ഇറ്റലി|อิตาลี|იტალია|"
    "イタリア|意大利|義大利|이탈리아",
    "jp": "ejapane|giappone|jaapan|japan|japane|japani|japanujo|japon|japoni|japonia|japonija|"
    "japonska|japonsko|japonya|japán|japão|japó|japón|japāna|jepang|jepun|nước nhật bản|"
    "xapón|ιαπωνία|япония|японія|јапан|јапонија|יפן|اليابان|ژاپن|జపాన్|ജപ്പാൻ|่ญี่ปุ่น|"
    "იაპონია|日本|일본",
    "kr": "corea|corea del sud|corea del sur|coreia do sul|corée du sud|güney kore|korea|"
    "korea del sud|korea południowa|koreja|south korea|sud-koreujo|sydkorea|sør-korea|"
    "süd-korea|zuid korea|южная корея|јужна кореја|南韓|大韓民国|대한민국",
    "lu": "eluxembourg|lëtzebuerg|liuksemburgas|lucembursko|luksemburg|luksemburga|luksemburgo|lussemburgo|"
    "luxemborg|luxembourg|luxemburg|luxemburgo|lúxemborg|lüksemburg|nước lúc xăm bua|"
    "λουξεμβούργο|луксембург|люксембург|լյուքսենբուրգ|לוקסמבורג|لوكسمبورج|லக்ஸம்போர்க்|"
    "ലക്സംബർഗ|ลักเซมเบิร์ก|ლუქსემბურგი|ルクセンブルグ|卢森堡|盧森堡|룩셈부르크",
    "mk": "macedonia|north macedonia|macedonië|macedònia|macedónia|macédoine|macédonie|makedonia|makedonie|"
    "makedonien|makedonija|makedonujo|makedonya|makedoonia|maqedoni|mazedonien|"
    "πρώην γιουγκοσλαβική δημοκρατία της μακεδονίας|македония|македонија|македонія|"
    "մակեդոնիա|מקדוניה|مقدونيا|مقدونیه|మాసిడోనియా|മസഡോണിയൻ|มาซิโดเนีย|მაკედონია|マセドニア|馬其頓|"
    "马其顿",
    "mt": "emalta|malta|malte|malto|maltë|μάλτα|малта|мальта|մալտա|מאלטה|جزیره مالت|مالطا|మాల్టా|"
    "മാൾട്ട|มอลตา|მალტა|マルタ|馬爾他|马耳他|몰타",
    "mx": "emexico|mehhiko|mehika|meksika|meksiko|meksikë|meksyk|messico|mexic|mexico|mexiko|"
    "mexikó|mexique|mèxic|méxico|μεξικό|мексика|мексико|мексіка|մեքսիկա|מקסיקו|مكسيك|مکزیک|"
    "మెక్సికో|മെക്സിക്കൊ|เม็กซิโก|მექსიკა|メキシコ|墨西哥|멕시코",
    "my": "imalaysia|malaiezia|malaisia|malaisie|malaizija|malajsie|malajzi|malajzia|malajzio|"
    "malasia|malaysia|maleisië|malesia|malezija|malezja|malezya|malàisia|malásia|μαλαισία|"
    "малайзия|малайзія|малезија|մալազիա|מלזיה|مالزی|ماليزيا|మలేషియా|മലേഷ്യ|มาเลเซีย|"
    "მალაიზია|マレーシア|馬來西亞|马来西亚|말레이시아",
    "nl": "belanda|herbehereak|holanda|holandia|holandija|holandë|holland|hollanda|hollandia|"
    "hollanti|inetherlands|nederland|nederlando|nederländerna|netherlands|niederlande|"
    "nizozemska|nizozemí|nyderlandai|nīderlande|nước hà lan|olanda|pays-bas|"
    "the netherlands|ολλανδία|нидерланды|нідэрланды|холандия|холандија|նիդերլանդներ|הולנד|"
    "هلند|هولندا|நெதர்லாந்து|నెదర్లాండ్స్|നെതർലാന്റ്സ്|เนเธอร์แลนด์|ნიდერლანდები|オランダ|荷兰|"
    "荷蘭|네덜란드",
    "no": "norge|norja|norra|norsko|noruega|norvegia|norvegija|norvegji|norvegujo|norveç|"
    "norveška|norvège|norvégia|norvēģija|norway|norwegen|norwegia|νορβηγία|нарвегія|"
    "норвегия|норвешка|նորվեգիա|נורווגיה|نروج|نروژ|నార్వే|നോർവെ|නෝර්වේ|นอร์เวย์|ნოვეგია|"
    "ノルウェー|挪威|노르웨이",
    "nz": "jaunzēlande|naujoji zelandija|neuseeland|new zealand|nieuw zeeland|noua zeelandă|"
    "nouvelle zélande|nouvelle-zélande|nov-zelando|nova zelanda|nova zelandija|"
    "nova zelândia|novi zeland|nový zéland|nowa zelandia|nueva zelanda|nuova zelanda|"
    "nya zeeland|nýja-sjáland|nước new zealand|selandia baru|uus-meremaa|uusi-seelanti|"
    "yeni zellanda|zelandë e re|új-zéland|νέα ζηλανδία|жаңа зеландия|нов зеланд|"
    "нова зеландия|нова зеландія|новая зеландия|новая зеландыя|нови зеланд|шинэ зеланд|"
    "նոր զելանդիա|ניו-זילנד|نيوزيلندا|نیوزیلند|न्यू ज़ीलैंड|நியூசீலாந்து|న్యూజిలాండ్|"
    "ന്യൂസീലാന്റ്|නවසීලන්තය|นิวซีแลนด์|ახალი ზელანდია|ニュージーランド|新西兰|紐西蘭|뉴질랜드",
    "pe": "eperu|nước peru|peru|peruo|peruu|perù|perú|pérou|περού|перу|пяру|պերու|פרו|بيرو|پرو|"
    "पेरू|பெரு|పెరూ|പെറു|เปรู|პერუ|ペルー|秘魯|秘鲁|페루",
    "ph": "filipiinid|filipijnen|filipina|filipinai|filipinak|filipinas|filipine|filipines|"
    "filipini|filipinler|filipinoj|filipiny|filippiinit|filippine|filippinene|filippinerna|"
    "filippinerne|filippseyjar|filippyne|filipíny|filipīnas|fülöp-szigetek|iphilippines|"
    "phi lip pin|philippinen|philippines|φιλιππίνες|филипини|филиппин|филиппины|філіпіны|"
    "ֆիլիպիններ|פיליפינים|الفلبين|فیلیپین|फिलिपीन्स|பிலிப்பைன்ஸ்|ఫిలిప్పీన్స్|ഫിലിപ്പൈൻസ്|"
    "ฟิลิปปินส์|ფილიპინები|フィリピン|菲律宾|菲律賓|필리핀",
    "pl": "epoland|lengyelország|lenkija|nước phần lan|poland|polandia|pole|polen|polija|poljska|"
    "pologne|poloni|polonia|polonya|polska|polsko|polujo|polònia|polónia|poola|puola|"
    "pólland|πολωνία|полска|полша|польш|польша|польшча|пољска|լեհաստան|פולין|بولندا|لهستان|"
    "पोलैंड|போலாந்து|పోలాండ్|പോളണ്ട്|โปแลนด์|პოლონეთი|ポーランド|波兰|波蘭|폴란드",
    "pr": "porto rico|porto riko|portoriko|portoryko|puerto rico|puerto rikas|puerto riko|"
    "puertoriko|πουέρτο ρίκο|порторико|пуерто рико|пуэрта-рыко|пуэрто-рико|պուերտո րիկո|"
    "פוארטו ריקו|بورتوريكو|پورتو ریکو|పోర్టో రీకో|เปอร์โตริโก|პუერტო რიკო|プエルトリコ|波多黎各|"
    "푸에르토리코",
    "pt": "iportugal|nước bồ đào nha|portekiz|portogallo|portugal|portugali|portugalia|"
    "portugalija|portugalska|portugalsko|portugalujo|portugália|portugāle|πορτογαλία|"
    "партугалія|португалия|португалија|պորտուգալիա|פורטוגל|البرتغال|پرتغال|పోర్చుగల్|"
    "പോർച്ചുഗൽ|โปรตุเกส|პორტუგალია|ポルトガル|葡萄牙|포르투갈",
    "ro": "eromania|errumania|nước rumani|roemenië|romania|romaniya|romence|romunija|románia|"
    "românia|romænien|roménia|roumanie|rumani|rumania|rumanujo|rumanía|rumeenia|rumunia|"
    "rumunija|rumunjska|rumunsko|rumänien|rumāņu|rúmenía|ρουμανία|романија|румунија|"
    "румъния|румыния|румынія|ռումիներեն|רומניה|رومانيا|رومانی|ருமேனியா|రొమేనియా|റൊമാനിയ|"
    "โรมาเนีย|რუმინული|ルーマニア|罗马尼亚|羅馬尼亞|루마니아",
    "rs": "nước serbia|serbi|serbia|serbie|serbien|serbija|serbujo|serbía|servië|srbija|srbsko|"
    "szerbia|sèrbia|sérvia|sırbistan|σερβία|сербия|сербія|србија|сърбия|սերբիա|סרביה|"
    "صربستان|صربيا|செர்பியா|సెర్బియా|സെർബിയ|เซอร์เบีย|სერბია|セルビア|塞尔维亚|塞爾維亞|세르비아",
    "scotland": "apvienotā karaliste: skotija|britania raya: skotlandia|britujo: skotujo|"
    "e-uk: scotland|escocia|escòcia|eskozia|iso-britannia: scotland|"
    "jungtinė karalystė: škotija|marea britanie: scoţia|reino unido: escocia|"
    "reino unido: escócia|royaume-uni : ecosse|schotland|schottland|skotland|skotsko|"
    "uk scotland|uk: ingiltere|uk: scotland|uk: skoci|uk: skottland|uk: skócia|uk: szkocja|"
    "vb: škotska|vk: skotland|združeno kraljestvo: škotska|šotimaa|"
    "ηνωμένο βασίλειο: σκωτία|вб: шкотска|велика британија: шкотска|"
    "великобритания: шотландия|обединено кралство: шотландия|шатландыя|մթ: շոտլանդիա|"
    "סקוטלנד|انگلستان : اسکاتلند|سكوتلندا - المملكة المتحدة|สหราชอาณาจักร : สกอตแลนด์|"
    "გაერტიანებული სამეფო: შოტლანდია|スコットランド(英)|英国：苏格兰|英國: 蘇格蘭|영국 : 스코틀란드",
    "se": "isveç|isweden|rootsi|ruotsi|schweden|suecia|suedi|suedia|suècia|suède|suécia|svedujo|"
    "sverige|svédország|swede|sweden|swedia|szwecja|zviedrija|zweden|švedija|švedska|"
    "švédsko|σουηδία|шведска|швеция|швецыя|շվեդիա|שוודיה|السويد|سوئد|స్వీడన్|സ്വീഡൻ|สวีเดน|"
    "შვედეთი|スエーデン|瑞典|스웨덴",
    "sg": "esingapore|singapoer|singapor|singapore|singapour|singapur|singapura|singapuro|"
    "singapūra|singapūras|szingapúr|σιγκαπούρη|сингапур|сінгапур|սինգապուր|סינגפור|"
    "سنغافورة|سنگاپور|సింగపూర్|സിംഗപ്പൂർ|สิงคโปร์|სინგაპური|シンガポール|新加坡|싱가포르",
    "si": "eslovenia|eslovènia|eslovénia|islovenia|sloveenia|sloveni|slovenia|slovenien|"
    "slovenija|slovenië|slovenujo|slovenya|slovinsko|slovénie|slovēnija|slovėnija|"
    "slowenien|slowenië|szlovénia|słowenia|σλοβενία|славенія|словения|словенија|սլովենիա|"
    "סלובניה|اسلوونی|سلوفينيا|స్లొవేనియా|സ്ലോവേനിയ|สโลวาเนีย|სლოვენია|スロベニア|斯洛文尼亚|斯洛維尼亞|"
    "슬로베니아",
    "th": "country.th|nước thái lan|tailandas|tailandia|tailandë|tailàndia|tailândia|taimaa|"
    "taizeme|tajland|tajlandia|tajujo|tayland|thaiföld|thailand|thailanda|thailande|"
    "thailandia|thaimaa|thajsko|ταϋλάνδη|таиланд|тайланд|тајланд|تايلاند|تایلند|థాయిలాండ్|"
    "തായ്ലാന്റ്|ประเทศไทย|ტაილანდი|タイ|泰國|태국",
    "tw": "itaiwan|taivan|taivanis|taivāna|taiwan|taiwán|tajvan|tajvano|tajwan|tayvan|tchaj-van|"
    "ταϊβάν|тайван|тайвань|тајван|թայվան|טאיוואן|تايوان|تایوان|తైవాన్|തായ്‌വാൻ|ไต้หวัน|"
    "ტაივანი|台湾|台湾(中華民国)|台灣|臺灣|대만",
    "ug": "uganda",
    "uk": "anglaterra i país de gales|anglie a wales|apvienotā karaliste: anglija un velsa|"
    "britania raya: inggris & wales|britujo: anglujo & kimrujo|e-uk: england & wales|"
    "engeland & wales|england & wales|england and wales|england og wales|englanti ja wales|"
    "ingalaterra eta gales|inghilterra & galles|inglaterra e país de gales|"
    "inglaterra y país de gales|inglismaa ja wales|jungtinė karalystė: anglija ir velsas|"
    "marea britanie: anglia&ţara galilor|reino unido|"
    "reino unido: inglaterra e país de gales|reino unido: inglaterra y gales|royaume-uni|"
    "royaume-uni : angleterre & pays de galles|uk england & wales|uk england and wales|"
    "uk: angli & uells|uk: anglia i walia|uk: anglia és wales|uk: engelane & wales|"
    "uk: england & wales|uk: england and wales|uk: england og wales|uk: ingiltere & galler|"
    "united kingdom|vb: engleska i vels|vb: engleska i wales|vk: engeland en wallis|"
    "vương quốc anh: nước anh và xứ wales|združeno kraljestvo: anglija in wales|"
    "ηνωμένο βασίλειο: αγγλία & ουαλία|англия и уэльс|англія і ўэльс|вб: енглеска и велс|"
    "велика британија: англија и велс|обединено кралство: англия и уелс|"
    "միացյալ թագավորություն։ անգլիա և ուելս|אנגליה|المملكة المتحدة : انكلترا وويلز|"
    "انگلستان : انگلیس و ویلز|യു.കെ.: ഇംഗണ്ടും വെയ്ല്സും|สหราชอาณาจักร: อังกฤษและเวลส์|"
    "გაერთიენაბული სამეფო: ინგლისი და უალესი|イングランド&ウェールズ(英)|英国：英格兰和威尔士|英國: 英格蘭及威爾斯|"
    "영국: 잉글랜드&",
    "us": "ameerika ühendriigid|amerika serikat|amerika syarikat|bandaríkin|birleşik devletler|"
    "e-united states|egyesült államok|estados unidos|estados unidos de américa|"
    "estados unidos de norteamérica|estats units d'amèrica|estatu batuak|etats-unis|"
    "förenta staterna|hợp chủng quốc hoa kỳ (nước mỹ)|jungtinės valstijos|sad|"
    "savienotās valstis|shtetet e bashkuara|spojené státy americké|stany zjednoczone|"
    "statele unite ale americii|stati uniti|united states|united states of america|usa|"
    "usono|vereinigte staaten von amerika|verenigde state|verenigde staten|yhdysvallat|"
    "združene države|états-unis|ηνωμένες πολιτείες|зша|сад|сащ|сша|միացյալ նահանգներ|ארה\"ב|"
    "الولايات المنحدة|ایالات متحده|అమెరికా సంయుక్త రాష్ట్రాలు|അമേരിക്കൻ ഐക്യനാടുകൾ|"
    "สหรัฐอเมริกา|შეერთებული შტატები|アメリカ合衆国|美国|美國|미국",
    "ve": "venezuela|venezuela (república bolivariana de)",
    "vn": "country.vn|viet nam|vietnam|vietname|vietnã|vijetnam|viêt nam|việt nam|vjetnama|"
    "vjetnamujo|wietnamski|βιετνάμ|виетнам|вијетнам|вьетнам|فيتنام|ویتنام|வியட்நாம்|"
    "వియెత్నాం|വിയറ്റ്നാം|ვიეტნამი|ベトナム|越南|베트남",
    "za": "africa de sud|afrika borwa|afrika selatan|afrikë e jugut|afrique du sud|dienvidāfrika|"
    "dél-afrika|eningizimu afrika|etelä-afrikka|hegoafrika|jižní afrika|južna afrika|"
    "južnoafriška republika|lõuna-aafrika|pietų afrika|południowa afryka|south africa|"
    "sud africa|sud-afriko|sudàfrica|sudáfrica|suid-afrika|suráfrica|sydafrika|sør-afrika|"
    "südafrika|zuid-afrika|áfrica do sul|νότια αφρική|пар|юар|южна африка|јужна африка|"
    "հարավային աֆրիկա|דרום אפריקה|آفریقای جنوبی|جنوب إفريقيا|దక్షిణ ఆఫ్రికా|ദക്ഷിണാഫ്രിക്ക|"
    "แอฟริกาใต้|სამხრეთ აფრიკა|南アフリカ|南非|남아프리카 공화국",
}  # fmt: skip

NO_PORTS: Final = (
    "afghanistan|africa|albania|algeria|america|andorra|angola|asia|bangladesh|belarus|bolivia|"
    "bosnia|bosnia and herzegovina|botswana|britain|brunei|cambodia|cameroon|catalonia|cuba|"
    "cyprus|dominican republic|el salvador|england|ethiopia|eu|europe|european union|fiji|"
    "ghana|great britain|greenland|haiti|honduras|iceland|indonesia|iran|iraq|"
    "isle of man|jersey|guernsey|gibraltar|bermuda|macau|macao|tibet|jamaica|jordan|"
    "kazakhstan|kenya|kosovo|kuwait|laos|latvia|lebanon|libya|liechtenstein|lithuania|moldova|"
    "monaco|mongolia|montenegro|morocco|mozambique|myanmar|namibia|nepal|nicaragua|nigeria|"
    "north korea|northern ireland|pakistan|palestine|panama|paraguay|qatar|russia|rwanda|"
    "san marino|saudi arabia|senegal|slovak republic|slovakia|sri lanka|sudan|syria|tanzania|"
    "trinidad and tobago|tunisia|turkey|türkiye|uae|ukraine|united arab emirates|uruguay|"
    "uzbekistan|vatican|wales|zambia|zimbabwe"
)
"""Places that never had a port: named behind a version, they leave the licence unclear."""

UNPORTED: Final[dict[tuple[str, ...], str]] = {
    ("4.0",): "international|בינלאומי|internacional|internazionale|internationaal|internationale|"
    "internationell|internationales|intl|int|kansainvälinen|mezinárodní|międzynarodowe|"
    "internasjonal|internasional|uluslararası|nazioartekoa|međunarodna|mednarodna|"
    "internațional|internaţional|tarptautinė|starptautiska|starptautiskā|nemzetközi|"
    "rahvusvaheline|internacia|διεθνές|международная|международен|међународна|всемирная|міжнародна|міжнародня|دولي|"
    "国際|国际|國際|국제",
    ("3.0",): "unp|portada|importada|importado|jurisdiktsiooniga sidumata|muokkaamaton|"
    "ne-adaptată|neadaptita|nedoločena|neloklizirana licenca|nepārnesta|no adaptada|"
    "non transposé|não adaptada|μη εισαγόμενο|нелокализиран|непортированная|չտեղայնացված|"
    "الاصلية|ต้นฉบับ|არაპორტირებული|非移植|nicht portiert",
    ("1.0", "2.0", "2.5"): "chung|e sa fetišwago|engadlulisiwe|generic|generisch|generico|generică|"
    "generies|generik|generikoa|generisk|generička licenca|generična|genèrica|genérica|"
    "generica|genérico|générique|allgemein|generiek|kapsamlı|nelokalizirana licenca|ogólny|"
    "raakaversio|të përgjithshme|umum|us-amerikanisch (nicht portiert)|us-amerikanisch|"
    "vispārīgs|xenérica|általános|üldine|ĝenerala|γενικό|генеричка лиценца|неадаптиран|"
    "нелокализирана лиценца|عام|ทั่วไป|ზოგადი|一般|未本地化版本|通用|通用版|일반",
    ("1.0", "2.0", "2.5", "3.0"): "לא מותאם",
    ("1.0",): "universal|evrensel|toàn cầu|universala|universale|universeel|universell|"
    "universelt|universāls|univerzalna|univerzalno|yleismaailmallinen|universel|uniwersalna|"
    "universel|παγκόσμια|универзална|универсальная|جهانی|უნივერსალური|보편적인",
}  # fmt: skip
"""What stands in a port's place where there is none, and the versions that say so."""
