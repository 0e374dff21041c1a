"""Real and adversarial spellings and what each must come to: canonical id, AMBIGUOUS or REJECT.

One line a spelling, `token | text`, grouped by source kind. Written by hand from published tools,
source dumps and the tricks that parsers have fallen for.
"""

from __future__ import annotations

AMBIGUOUS = "AMBIGUOUS"
REJECT = "REJECT"

CC = "https://creativecommons.org"

URLS = f"""
CC-BY-4.0 | {CC}/licenses/by/4.0/
CC-BY-4.0 | {CC}/licenses/by/4.0
CC-BY-4.0 | http://creativecommons.org/licenses/by/4.0/
CC-BY-4.0 | //creativecommons.org/licenses/by/4.0/
CC-BY-4.0 | creativecommons.org/licenses/by/4.0/
CC-BY-4.0 | www.creativecommons.org/licenses/by/4.0
CC-BY-4.0 | HTTPS://WWW.CREATIVECOMMONS.ORG/LICENSES/BY/4.0/
CC-BY-4.0 | {CC}/licenses/by/4.0/deed
CC-BY-4.0 | {CC}/licenses/by/4.0/deed.uk
CC-BY-4.0 | {CC}/licenses/by/4.0/deed.zh-hans
CC-BY-4.0 | {CC}/licenses/by/4.0/deed.pt_BR
CC-BY-4.0 | {CC}/licenses/by/4.0/legalcode
CC-BY-4.0 | {CC}/licenses/by/4.0/legalcode.txt
CC-BY-4.0 | {CC}/licenses/by/4.0/legalcode.es
CC-BY-4.0 | {CC}/licenses/by/4.0/legalcode#s6b
CC-BY-4.0 | {CC}/licenses/by/4.0/rdf
CC-BY-4.0 | {CC}/licenses/by/4.0/?ref=chooser-v1
CC-BY-4.0 | {CC}/licenses/by/4.0/?ref=ccsearch&atype=rich
CC-BY-4.0 | {CC}:443/licenses/by/4.0/
CC-BY-2.0-UK | {CC}/licenses/by/2.0/uk/
CC-BY-2.0-UK | {CC}/licenses/by/2.0/uk/deed.en_GB
CC-BY-2.5-SCOTLAND | {CC}/licenses/by/2.5/scotland/
CC-BY-3.0-IGO | {CC}/licenses/by/3.0/igo/legalcode
CC-BY-NC-ND-1.0 | {CC}/licenses/by-nd-nc/1.0/
CC-PDDC | {CC}/licenses/publicdomain/
CC-PDDC | {CC}/licenses/publicdomain/deed.de
CC-PDDC | {CC}/publicdomain/certification/1.0/us/
CC0-1.0 | {CC}/publicdomain/zero/1.0/deed.sr@latin
CC0-1.0 | {CC}/publicdomain/zero/1.0/legalcode
CC0-1.0 | {CC}/publicdomain/zero/
CC-PDM-1.0 | {CC}/publicdomain/mark/1.0/deed.fr
CC-SAMPLING-PLUS-1.0 | {CC}/licenses/sampling+/1.0/
CC-BY-SA-4.0 | https://spdx.org/licenses/CC-BY-SA-4.0.html
ODbL-1.0 | https://opendatacommons.org/licenses/odbl/1-0/
PDDL-1.0 | http://www.opendatacommons.org/licenses/pddl/1.0/
GFDL-1.3 | https://www.gnu.org/licenses/fdl-1.3.html
OGL-UK-3.0 | http://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/
AMBIGUOUS | {CC}/licenses/by/
AMBIGUOUS | {CC}/licenses/by-nc-sa
AMBIGUOUS | {CC}/licenses/by/deed.de
AMBIGUOUS | {CC}/licenses/by/2.1/
AMBIGUOUS | {CC}/publicdomain/
AMBIGUOUS | https://www.gnu.org/copyleft/fdl.html
REJECT | {CC}/
REJECT | {CC}/licenses/
REJECT | {CC}/licenses/by/7.0/
REJECT | {CC}/licenses/by/3.5/
REJECT | {CC}/licenses/by/4.0/de/
REJECT | {CC}/licenses/by/3.0/xx/
REJECT | {CC}/licenses/by/2.0/gb/
REJECT | {CC}/licenses/by-nd-sa/4.0/
REJECT | {CC}/licenses/by-nd-nc/4.0/
REJECT | {CC}/licenses/zero/1.0/
REJECT | {CC}/publicdomain/by/4.0/
REJECT | {CC}/publicdomain/zero/4.0/
REJECT | {CC}/licences/by/4.0/
REJECT | {CC}/license/by/4.0/
REJECT | {CC}/licenses/by/4.0/de/legalcode
REJECT | {CC}/licenses/by/4.0/deed.html
REJECT | {CC}/licenses/by/4.0/extra/
REJECT | {CC}/licenses/by/4.0.1/
REJECT | {CC}/licenses/by/04.0/
REJECT | {CC}/licenses/by%2F4.0/
REJECT | {CC}/licenses/%62y/4.0/
REJECT | {CC}/licenses/by/4%2e0/
REJECT | {CC}/licenses/by-nc/../by/4.0/
REJECT | {CC}/./licenses/by/4.0/
REJECT | {CC}/licenses/by/./4.0/
REJECT | {CC}//licenses/by/4.0/
REJECT | {CC}/licenses//by/4.0/
REJECT | {CC}/licenses/by/4.0/..
REJECT | {CC}/licenses/by/4.0;x=1
REJECT | {CC}/licenses\\by\\4.0
REJECT | {CC}\\.evil.com/licenses/by/4.0/
REJECT | {CC}/foo/licenses/by/4.0/
REJECT | {CC}.evil.com/licenses/by/4.0/
REJECT | https://evilcreativecommons.org/licenses/by/4.0/
REJECT | https://creativecommons.org@evil.com/licenses/by/4.0/
REJECT | https://user@creativecommons.org/licenses/by/4.0/
REJECT | https://evil.com@creativecommons.org/licenses/by/4.0/
REJECT | https://creativecommons.org:8080/licenses/by/4.0/
REJECT | http://creativecommons.org:443/licenses/by/4.0/
REJECT | https://creativecommons.org./licenses/by/4.0/
REJECT | https://creativecommons.com/licenses/by/4.0/
REJECT | https://creativecommons.org.uk/licenses/by/4.0/
REJECT | https://creative-commons.org/licenses/by/4.0/
REJECT | https://creativecornmons.org/licenses/by/4.0/
REJECT | https://creativecommons.0rg/licenses/by/4.0/
REJECT | https://creativecommоns.org/licenses/by/4.0/
REJECT | https://сreativecommons.org/licenses/by/4.0/
REJECT | https://ｃreativecommons.org/licenses/by/4.0/
REJECT | https://creativecommons。org/licenses/by/4.0/
REJECT | https://creativecommons.org∕licenses∕by∕4.0∕
REJECT | https://xn--creativecommns-4ij.org/licenses/by/4.0/
REJECT | https://wiki.creativecommons.org/licenses/by/4.0/
REJECT | https://i.creativecommons.org/l/by/4.0/88x31.png
REJECT | ftp://creativecommons.org/licenses/by/4.0/
REJECT | file:///creativecommons.org/licenses/by/4.0/
REJECT | javascript://creativecommons.org/licenses/by/4.0/
REJECT | data:text/html,{CC}/licenses/by/4.0/
REJECT | http:/creativecommons.org/licenses/by/4.0/
REJECT | https:creativecommons.org/licenses/by/4.0/
REJECT | https:///creativecommons.org/licenses/by/4.0/
REJECT | https://evil.com/{CC}/licenses/by/4.0/
REJECT | https://evil.com/?u={CC}/licenses/by/4.0/
REJECT | https://evil.com/#{CC}/licenses/by/4.0/
REJECT | https://web.archive.org/web/2020/{CC}/licenses/by/4.0/
REJECT | {CC}/?u={CC}/licenses/by/4.0/
REJECT | {CC}/#/licenses/by/4.0/
REJECT | {CC}/licenses/by/4.0/?license=by-nc
REJECT | {CC}/licenses/by/4.0/?u=http://x
REJECT | {CC}/licenses/by/4.0/ {CC}/licenses/by-nc/4.0/
REJECT | {CC}/licenses/by/ 4.0/
REJECT | {CC}/licenses/by‑sa/4.0/
REJECT | http://rightsstatements.org/vocab/InC/1.0/
REJECT | http://rightsstatements.org/vocab/NoC-US/1.0/
REJECT | https://example.com/cc-by-4.0.html
REJECT | https://spdx.org/licenses/MIT.html
REJECT | CC BY 4.0
"""

TEXTS = f"""
CC-BY-4.0 | CC BY 4.0
CC-BY-4.0 | CC-BY 4.0
CC-BY-4.0 | cc-by-4.0
CC-BY-4.0 | cc_by_4.0
CC-BY-4.0 | CC BY v4.0
CC-BY-4.0 | CC BY, version 4.0
CC-BY-4.0 | CC BY (4.0)
CC-BY-4.0 | (CC BY 4.0)
CC-BY-4.0 | CC: BY 4.0
CC-BY-4.0 | CCBY 4.0
CC-BY-4.0 | ccby4.0
CC-BY-4.0 | CC‑BY‑4.0
CC-BY-4.0 | CC – BY – 4.0
CC-BY-4.0 | CC BY\u00a04.0
CC-BY-4.0 | CC 4.0 BY
CC-BY-4.0 | CC BY 4.0 Deed
CC-BY-4.0 | CC BY 4.0 International
CC-BY-4.0 | CC-BY-4.0-International
CC-BY-4.0 | CC Attribution 4.0
CC-BY-4.0 | Creative Commons BY 4.0
CC-BY-4.0 | Creative Commons CC BY 4.0
CC-BY-4.0 | Creative Commons Attribution 4.0
CC-BY-4.0 | Creative Commons Attribution 4.0 International
CC-BY-4.0 | Creative Commons Attribution 4.0 International License
CC-BY-4.0 | Creative Commons Attribution 4.0 International Public License
CC-BY-4.0 | Creative Commons Attribution 4.0 International (CC BY 4.0)
CC-BY-4.0 | Creative Commons Attribution (CC BY) 4.0
CC-BY-4.0 | Creative Commons Attribution License 4.0
CC-BY-4.0 | Creative Commons Attribution Licence, version 4.0
CC-BY-4.0 | Attribution 4.0 International
CC-BY-4.0 | Attribution 4.0 International (CC BY 4.0)
CC-BY-4.0 | © 2020 Jane Doe, CC BY 4.0
CC-BY-4.0 | © Jane Doe 2020 CC BY 4.0
CC-BY-4.0 | Photo: Jane Doe (CC BY 4.0)
CC-BY-4.0 | Licence: CC BY 4.0.
CC-BY-4.0 | licensed under CC BY 4.0
CC-BY-4.0 | Except where otherwise noted, this work is licensed under CC BY 4.0.
CC-BY-4.0 | This work is licensed under a Creative Commons Attribution 4.0 International License.
CC-BY-4.0 | {CC}/licenses/by/4.0/
CC-BY-4.0 | <{CC}/licenses/by/4.0/>
CC-BY-4.0 | License: {CC}/licenses/by/4.0/.
CC-BY-4.0 | CC BY 4.0 ({CC}/licenses/by/4.0/)
CC-BY-4.0 | CC BY 4.0, {CC}/licenses/by/4.0/deed.en, via Wikimedia Commons
CC-BY-4.0 | CC BY 4.0, no changes made
CC-BY-4.0 | Some rights reserved. CC BY 4.0
CC-BY-4.0 | CC BY 4.0 Jane Doe
CC-BY-4.0 | CC BY 4.0 by Jane Doe
AMBIGUOUS | CC BY 4.0 no
CC-BY-SA-4.0 | CC BY-SA 4.0
CC-BY-SA-4.0 | CC BY SA 4.0
CC-BY-SA-4.0 | CC-BYSA 4.0
CC-BY-SA-4.0 | cc by-sa 4.0 international
CC-BY-SA-4.0 | Creative Commons Attribution-Share Alike 4.0 International
CC-BY-SA-4.0 | Creative Commons Attribution ShareAlike 4.0
CC-BY-SA-4.0 | Creative Commons Attribution - Share Alike 4.0
CC-BY-SA-4.0 | CC 4.0 BY-SA
CC-BY-SA-3.0 | Creative Commons Attribution-ShareAlike 3.0 Unported
CC-BY-SA-3.0 | Attribution-ShareAlike 3.0 Unported (CC BY-SA 3.0)
CC-BY-SA-3.0 | Diliff, CC BY-SA 3.0 <{CC}/licenses/by-sa/3.0>, via Wikimedia Commons
CC-BY-SA-3.0 | CC BY-SA 3.0 via Wikimedia Commons
CC-BY-SA-3.0-DE | CC BY-SA 3.0 DE
CC-BY-SA-3.0-DE | cc-by-sa-3.0-de
CC-BY-SA-3.0-DE | CC BY-SA 3.0 de
CC-BY-SA-3.0-DE | CC BY-SA 3.0 Germany
CC-BY-SA-3.0-DE | CC BY-SA 3.0 (DE)
CC-BY-SA-3.0-DE | Creative Commons Attribution-Share Alike 3.0 Germany
CC-BY-SA-3.0-DE | Creative Commons Attribution-ShareAlike 3.0 Germany License
CC-BY-SA-3.0-DE | Namensnennung-Weitergabe unter gleichen Bedingungen 3.0 Deutschland
CC-BY-SA-4.0 | Namensnennung - Weitergabe unter gleichen Bedingungen 4.0 International
CC-BY-SA-4.0 | Attribution - Partage dans les Mêmes Conditions 4.0 International
CC-BY-SA-4.0 | Creative Commons Atribución-CompartirIgual 4.0 Internacional
CC-BY-SA-4.0 | Attribuzione - Condividi allo stesso modo 4.0 Internazionale
CC-BY-NC-4.0 | Namensnennung - Nicht kommerziell 4.0 International
CC-BY-NC-SA-4.0 | クリエイティブ・コモンズ 表示 - 非営利 - 継承 4.0 国際
CC-BY-NC-ND-3.0-FR | Attribution - Pas d'Utilisation Commerciale - Pas de Modification 3.0 France
CC-BY-NC-3.0-ES | Reconocimiento-NoComercial 3.0 España
CC-BY-2.0-UK | Attribution 2.0 UK: England & Wales
CC-BY-2.0-UK | CC BY 2.0 UK
CC-BY-2.5-SCOTLAND | Attribution 2.5 UK: Scotland
CC-BY-3.0-IGO | CC BY 3.0 IGO
CC-BY-3.0-US | Creative Commons Attribution 3.0 United States License
CC-BY-2.1-JP | CC BY 2.1 JP
CC-BY-NC-4.0 | CC BY-NC 4.0
CC-BY-NC-4.0 | Creative Commons Attribution-NonCommercial 4.0
CC-BY-NC-4.0 | Creative Commons Attribution Non-Commercial 4.0 International
CC-BY-NC-4.0 | CC BY-NC 4.0. Non-commercial use only.
CC-BY-NC-SA-4.0 | CC BY-NC-SA 4.0
CC-BY-NC-SA-4.0 | CC BY-SA-NC 4.0
CC-BY-NC-ND-4.0 | Attribution-NonCommercial-NoDerivatives 4.0 International
CC-BY-NC-ND-2.0 | Attribution-NonCommercial-NoDerivs 2.0 Generic (CC BY-NC-ND 2.0)
CC-BY-ND-2.0 | Creative Commons Attribution-No Derivative Works 2.0 Generic
CC-BY-NC-ND-1.0 | CC BY-ND-NC 1.0
CC0-1.0 | CC0
CC0-1.0 | cc0
CC0-1.0 | CC-0
CC0-1.0 | CC Zero
CC0-1.0 | CC0 1.0
CC0-1.0 | CC0 v1.0
CC0-1.0 | CC0 1.0 Universal
CC0-1.0 | CC0 1.0 Universal (CC0 1.0) Public Domain Dedication
CC0-1.0 | Creative Commons Zero v1.0 Universal
CC0-1.0 | Creative Commons Zero
CC0-1.0 | Public Domain (CC0)
CC0-1.0 | Public domain, CC0 1.0
CC0-1.0 | CC0, no rights reserved
CC0-1.0 | No Rights Reserved (CC0)
CC0-1.0 | CC0. No attribution required.
CC-PDM-1.0 | Public Domain Mark 1.0
CC-PDM-1.0 | Public Domain Mark
CC-PDM-1.0 | PDM 1.0
CC-PDM-1.0 | PDM
CC-PDM-1.0 | Creative Commons Public Domain Mark 1.0
CC-SAMPLING-PLUS-1.0 | CC SAMPLING+ 1.0
CC-NC-SAMPLING-PLUS-1.0 | NonCommercial Sampling Plus 1.0 Generic
CC-SA-1.0 | CC SA 1.0
CC-NC-ND-1.0 | CC ND-NC 1.0
CC-BY-4.0 | CC BY 4.0 or CC BY-NC 4.0
CC-BY-SA-3.0 | GFDL or CC BY-SA 3.0
CC-BY-SA-3.0 | GFDL-1.2-or-later OR CC-BY-SA-3.0
CC-BY-SA-3.0 | either GFDL 1.2 or CC BY-SA 3.0
CC-BY-SA-3.0 | CC BY-SA 3.0 or later
GFDL-1.2 | GFDL 1.2
GFDL-1.3-or-later | GNU Free Documentation License 1.3 or later
ODbL-1.0 | ODbL 1.0
CC-BY-4.0 | [CC BY 4.0]({CC}/licenses/by/4.0/)
CC-BY-4.0 | CC BY 4.0;{CC}/licenses/by/4.0/
CC-BY-4.0 | SPDX-License-Identifier: CC-BY-4.0
CC-BY-4.0 | License={CC}/licenses/by/4.0/
CC-BY-4.0 | CC-BY-4-0
CC-BY-SA-4.0 | CC_BY_SA_4_0
CC-BY-4.0 | CC BY INTERNATIONAL 4.0
CC-BY-4.0 | PHOTO BY JANE DOE CC BY 4.0
CC-BY-4.0 | "No Man's Land" by Jane, CC BY 4.0
CC-BY-4.0 | Photo No. 5, CC BY 4.0
CC-BY-4.0 | CC BY 4.0 by Jane, jane@example.com
CC-BY-4.0 | Images are licensed CC BY 4.0 unless otherwise stated
CC-BY-SA-3.0 | Own work, CC BY-SA 3.0, https://commons.wikimedia.org/w/index.php?curid=12345
CC-BY-SA-3.0 | Creative Commons Attribution/Share-Alike License 3.0
CC-BY-SA-4.0 | CC-licensed (BY-SA 4.0)
CC-BY-SA-3.0-NO | CC BY-SA 3.0 no
CC-BY-SA-3.0-AT | John Doe, CC BY-SA 3.0 at, via Wikimedia Commons
CC-BY-SA-2.5-IN | CC BY-SA 2.5 in
CC-BY-3.0-DE | CC BY 3.0 Germany (DE)
CC-BY-4.0 | This is an Open Access article distributed under the terms of the Creative Commons Attribution License (http://creativecommons.org/licenses/by/4.0), which permits unrestricted use.
CC-PDM-1.0 | This work is free of known copyright restrictions. Public Domain Mark 1.0
CC0-1.0 | To the extent possible under law, Jane Doe has waived all copyright to this work. CC0 1.0
CC-BY-NC-ND-4.0 | Creative Commons Atribución-NoComercial-SinDerivar 4.0 Internacional
CC-BY-NC-SA-4.0 | Licence Creative Commons Attribution - Pas d’Utilisation Commerciale - Partage dans les Mêmes Conditions 4.0 International.
CC-BY-NC-ND-4.0 | Creative Commons Attribuzione - Non commerciale - Non opere derivate 4.0 Internazionale
CC-BY-NC-ND-4.0 | Creative Commons - Atribuição-NãoComercial-SemDerivações 4.0 Internacional
CC-BY-SA-4.0 | Creative Commons Naamsvermelding-GelijkDelen 4.0 Internationaal-licentie
CC-BY-SA-4.0 | Creative Commons Uznanie autorstwa-Na tych samych warunkach 4.0 Międzynarodowe
CC-BY-SA-4.0 | Creative Commons С указанием авторства-С сохранением условий 4.0 Всемирная
CC-BY-NC-4.0 | 知识共享署名-非商业性使用 4.0 国际许可协议
CC-BY-NC-SA-4.0 | 姓名標示-非商業性-相同方式分享 4.0 國際
CC-BY-NC-4.0 | 저작자표시-비영리 4.0 국제
CC-BY-SA-4.0 | CC表示-継承4.0
CC-BY-SA-4.0 | 本作品采用CC BY-SA 4.0协议
GFDL-1.2-or-later | GNU Free Documentation License, Version 1.2 or any later version
OGL-UK-3.0 | Open Government Licence v3.0
LAL-1.3 | Licence Art Libre 1.3
AMBIGUOUS | 本作品不是CC BY 4.0吗? CC BY-SA 4.0
AMBIGUOUS | metadata CC0
AMBIGUOUS | Metadata: CC0; image: all rights reserved
AMBIGUOUS | This dataset is CC0
AMBIGUOUS | contains parts under CC BY 4.0
AMBIGUOUS | based on a CC BY 4.0 work by Jane
AMBIGUOUS | Draft, CC BY 4.0
AMBIGUOUS | This photo will be released under CC BY 4.0
AMBIGUOUS | CC BY 4.0 + no AI
AMBIGUOUS | CC BY 4.0 (with exceptions)
AMBIGUOUS | CC BY 4.0 or equivalent
AMBIGUOUS | CC BY 4.0 vs CC BY-SA 4.0
AMBIGUOUS | CC BY 4.0 and MIT
AMBIGUOUS | CC BY 4.0 / BY-NC 4.0
AMBIGUOUS | CC BY 4.0, BY-NC-SA
AMBIGUOUS | changed from CC BY-NC 4.0 to CC BY 4.0
AMBIGUOUS | CC BY 4.0 (was CC BY-NC 4.0)
AMBIGUOUS | CC BY 4.0 3.0
AMBIGUOUS | CC BY 3.0/4.0
AMBIGUOUS | CC BY 3.0 AT/DE
AMBIGUOUS | CC BY 3.0. DE
AMBIGUOUS | CC BY 3.0 · DE
AMBIGUOUS | CC BY 3.0 UK
AMBIGUOUS | CC BY 3.0 Georgia Tech
AMBIGUOUS | CC BY >=4.0
AMBIGUOUS | CC BY 4,0
AMBIGUOUS | CC BY 4.0a
AMBIGUOUS | my-cc-by-4.0
AMBIGUOUS | PD-old-100
AMBIGUOUS | Creative Common Attribution 4.0
AMBIGUOUS | CC BY 4.0 https://creativecommons.org.evil.com/licenses/by/4.0/
AMBIGUOUS | {CC}/licenses/by/4.0/ {CC}/licenses/by-nc/4.0/
CC-BY-4.0 | {CC}/licenses/by/4.0/ or {CC}/licenses/by-nc/4.0/
REJECT | CC BY https://evil.com/licenses/by/4.0/
REJECT | 这不是CC BY 4.0
REJECT | これはCC BY 4.0ではありません
REJECT | CC BY 14.0
REJECT | CC BY 4.00
REJECT | CC BY-NC-NC 4.0
REJECT | CCO 1.0
REJECT | CC0-BY-4.0
REJECT | Public Domain Mark 4.0
REJECT | Bcc by 4.0
REJECT | CC BY‮ 4.0
REJECT | ＣＣ ＢＹ 4.0
REJECT | mailto:{CC}/licenses/by/4.0/
REJECT | {CC}/licenses/by/4.0/.evil
AMBIGUOUS | CC
AMBIGUOUS | CC BY
AMBIGUOUS | CC-BY-SA
AMBIGUOUS | CC BY-NC-ND
AMBIGUOUS | Creative Commons
AMBIGUOUS | Creative Commons license
AMBIGUOUS | Creative Commons Attribution
AMBIGUOUS | Creative Commons Attribution-ShareAlike
AMBIGUOUS | Attribution License
AMBIGUOUS | Attribution-NonCommercial-ShareAlike License
AMBIGUOUS | CC BY 4
AMBIGUOUS | CC BY 2.1
AMBIGUOUS | CC BY-SA 4.0 DE
AMBIGUOUS | cc-by-4.0-de
AMBIGUOUS | CC BY 4.0 Germany
AMBIGUOUS | CC BY 3.0 XX
AMBIGUOUS | cc-by-3.0-xx
AMBIGUOUS | CC BY 3.0 in Germany
AMBIGUOUS | CC BY 2.5 in Wikimedia Commons
AMBIGUOUS | CC BY 3.0 de Juan
AMBIGUOUS | CC BY 3.0 US Navy
AMBIGUOUS | CC BY 3.0 Austria Press
AMBIGUOUS | CC BY 3.0 International
AMBIGUOUS | CC BY 4.0 Unported
AMBIGUOUS | CC BY-SA 3.0, 2.5, 2.0
AMBIGUOUS | CC BY 4.0 / CC BY-NC 4.0
AMBIGUOUS | CC BY 4.0 and CC BY-NC 4.0
AMBIGUOUS | CC BY 4.0, CC BY-SA 4.0
AMBIGUOUS | CC BY 4.0 and/or CC BY-NC 4.0
AMBIGUOUS | CC BY 4.0 CC BY 3.0
AMBIGUOUS | CC BY 4.0 ({CC}/licenses/by-nc/4.0/)
AMBIGUOUS | GFDL, CC BY-SA 3.0
AMBIGUOUS | CC BY 4.0, all rights reserved
AMBIGUOUS | © Jane Doe. All rights reserved. CC BY-NC 4.0
AMBIGUOUS | CC BY 4.0. For non-commercial use only.
AMBIGUOUS | CC BY 4.0, personal use only
AMBIGUOUS | CC BY 4.0 except the logo
AMBIGUOUS | CC BY 4.0 (text only)
AMBIGUOUS | Text: CC BY 4.0; photos are not included
AMBIGUOUS | CC BY 4.0, do not use for AI training
AMBIGUOUS | CC BY 4.0?
AMBIGUOUS | probably CC BY 4.0
AMBIGUOUS | possibly CC BY-SA 4.0
AMBIGUOUS | similar to CC BY 4.0
AMBIGUOUS | previously CC BY 4.0
AMBIGUOUS | CC BY 4.0 until 2019
AMBIGUOUS | CC BY 4.0 pending
AMBIGUOUS | BY-SA 4.0
AMBIGUOUS | Attribution 4.0
AMBIGUOUS | Public domain
AMBIGUOUS | public domain dedication
AMBIGUOUS | PD
AMBIGUOUS | CC-PD
AMBIGUOUS | Public domain / CC BY 4.0
AMBIGUOUS | GFDL
AMBIGUOUS | Free Art License
AMBIGUOUS | CC BY, 2.0 MB
AMBIGUOUS | CC by Nick 4.0
AMBIGUOUS | https://example.org/cc-by-4.0 (CC BY)
REJECT | Charlotte, NC
REJECT | Charlotte, NC 4.0
REJECT | Photo by John 4.0
REJECT | Photo by SA 4.0
AMBIGUOUS | by 4.0
REJECT | 250cc by 4.0
REJECT | a 250 cc by 4.0 motor
REJECT | accby 4.0
REJECT | СС BY 4.0
REJECT | CС BY 4.0
REJECT | CC ВY 4.0
REJECT | ᏟᏟ BY 4.0
REJECT | CC BY 7.0
REJECT | CC BY 3.5
REJECT | CC BY 4.1
REJECT | CC BY 4.0.1
REJECT | CC BY-ND-SA 4.0
REJECT | CC BY-NC-ND-SA 4.0
REJECT | CC NC 4.0
REJECT | CC SA 4.0
REJECT | CC0 2.0
REJECT | CC0 4.0
REJECT | CC-BY-BY-4.0
REJECT | NOT licensed under CC BY 4.0
REJECT | not CC BY 4.0
REJECT | This image is not available under CC BY 4.0
REJECT | This image isn't licensed under CC BY 4.0.
REJECT | This is neither CC BY 4.0 nor CC BY-SA 4.0
REJECT | no CC BY 4.0
REJECT | without a CC BY 4.0 license
REJECT | nicht unter CC BY 4.0
REJECT | kein CC0
REJECT | pas sous CC BY 4.0
REJECT | never released under CC0
REJECT | Not in the public domain
REJECT | All rights reserved
REJECT | © 2020 Jane Doe. All rights reserved.
REJECT | Alle Rechte vorbehalten
REJECT | Tous droits réservés
REJECT | Copyright Jane Doe
REJECT | Royalty free
REJECT | No known copyright restrictions
REJECT | see https://creativecommons.org.evil.com/licenses/by/4.0/
REJECT | https://evil.com/?u={CC}/licenses/by/4.0/
REJECT | https://evil.com/cc-by-4.0.html
REJECT | photo_cc-by-4.0.jpg
REJECT | cc-by-4.0@example.com
REJECT | http://cc-by-4.0.example.com/
REJECT | Attribution required
REJECT | Non-commercial use only
REJECT | editorial use only
REJECT | version 4.0
REJECT | 4.0
REJECT | by
REJECT | ?
REJECT | unknown
REJECT | null
REJECT | http://rightsstatements.org/vocab/InC/1.0/
REJECT | In Copyright
"""

KINDS: dict[str, str] = {
    "url": URLS,
    "text": TEXTS,
    "spdx": """
CC-BY-4.0 | CC-BY-4.0
CC-BY-4.0 | cc-by-4.0
CC-BY-4.0 | CC-BY-4.0+
CC-BY-4.0 | (CC-BY-4.0)
CC-BY-4.0 | CC-BY-4.0 OR CC-BY-NC-4.0
CC-BY-4.0 | MIT OR CC-BY-4.0
CC0-1.0 | CC-BY-4.0 OR (CC0-1.0)
CC-BY-SA-3.0 | GFDL-1.2-or-later OR CC-BY-SA-3.0
CC-BY-4.0 | CC-BY-4.0 AND CC-BY-4.0
CC-BY-3.0-PL | LicenseRef-CC-BY-3.0-PL
PD-US-GOV | LicenseRef-PD-US-GOV
GFDL-1.3-or-later | GFDL-1.3-or-later
LAL-1.3 | LAL-1.3
ODC-By-1.0 | ODC-By-1.0
PDDL-1.0 | pddl-1.0
OGL-UK-3.0 | OGL-UK-3.0
AMBIGUOUS | CC-BY
AMBIGUOUS | GFDL
AMBIGUOUS | CC-BY-4.0 AND CC-BY-SA-4.0
AMBIGUOUS | CC-BY-4.0 AND MIT
AMBIGUOUS | CC-BY-4.0 WITH Classpath-exception-2.0
REJECT | CC-BY-7.0
REJECT | CC-BY-4.0-DE
REJECT | LicenseRef-CC-BY-4.0
REJECT | LicenseRef-mine
REJECT | MIT
REJECT | Apache-2.0
REJECT | NONE
REJECT | NOASSERTION
REJECT | CC-BY-4.0 OR
REJECT | OR CC-BY-4.0
REJECT | (CC-BY-4.0
REJECT | CC-BY-4.0)
REJECT | CC BY 4.0
REJECT | CC-BY-4.0 CC-BY-SA-4.0
REJECT | NOT CC-BY-4.0
REJECT | СС-BY-4.0
REJECT | https://creativecommons.org/licenses/by/4.0/
""",
    "html": f"""
CC-BY-4.0 | <a rel="license" href="{CC}/licenses/by/4.0/">CC BY 4.0</a>
CC-BY-4.0 | <a rel='license noopener' href='{CC}/licenses/by/4.0/'><img src="x.png"></a>
CC-BY-4.0 | <link rel=license href={CC}/licenses/by/4.0/>
CC-BY-4.0 | <A REL="LICENSE" HREF="{CC}/licenses/by/4.0/">Licence</A>
CC-BY-4.0 | <span property="dct:license" resource="{CC}/licenses/by/4.0/"></span>
CC-BY-4.0 | <meta name="dcterms.license" content="{CC}/licenses/by/4.0/">
CC-BY-4.0 | <a itemprop="license" href="{CC}/licenses/by/4.0/">licence</a>
CC-BY-4.0 | <p>Licensed under <a href="{CC}/licenses/by/4.0/">CC BY 4.0</a></p>
CC-BY-4.0 | <a href="{CC}/licenses/by/4.0/">CC BY 4.0</a>
CC-BY-4.0 | <p>CC&nbsp;BY&nbsp;4.0</p>
CC-BY-4.0 | <a rel="license" href="{CC}/licenses/by/4.0/">Creative Commons</a> <!-- CC BY-NC 4.0 -->
AMBIGUOUS | <a rel="license" href="{CC}/licenses/by/">CC BY</a>
AMBIGUOUS | <p>Learn about <a href="{CC}/licenses/by/4.0/">open content</a></p>
AMBIGUOUS | <a rel="license" href="{CC}/licenses/by/4.0/">CC BY-NC 4.0</a>
AMBIGUOUS | <a rel="license" href="{CC}/licenses/by/4.0/">CC</a> All rights reserved
AMBIGUOUS | <a rel=license href="{CC}/licenses/by/4.0/">a</a><a rel=license href="{CC}/licenses/by-nc/4.0/">b</a>
REJECT | <p>Not licensed under <a href="{CC}/licenses/by/4.0/">CC BY 4.0</a></p>
REJECT | <!-- <a rel="license" href="{CC}/licenses/by/4.0/">CC BY 4.0</a> -->
REJECT | <script>var a = '<a rel="license" href="{CC}/licenses/by/4.0/">';</script>
REJECT | <template><a rel="license" href="{CC}/licenses/by/4.0/">CC BY 4.0</a></template>
REJECT | <p hidden>CC BY 4.0</p>
REJECT | <p style="display: none">CC BY 4.0</p>
REJECT | <a rel="license" href="{CC}.evil.com/licenses/by/4.0/">licence</a>
REJECT | <a rel="license" data-href="{CC}/licenses/by/4.0/">licence</a>
REJECT | <a rel="license" href="javascript:'{CC}/licenses/by/4.0/'">licence</a>
REJECT | <img alt="CC BY 4.0" src="cc-by.png">
REJECT | <p>All rights reserved</p>
CC-BY-4.0 | <script type="application/ld+json">{{"@type": "ImageObject", "license": "{CC}/licenses/by/4.0/"}}</script>
CC-BY-4.0 | <script>if (a<b) x = "<a href='";</script><a rel="license" href="{CC}/licenses/by/4.0/">CC</a>
CC-BY-4.0 | <a rel="license" href="https&#58;//creativecommons.org/licenses/by/4.0/">x</a>
CC-BY-NC-4.0 | <a rel="license" href="{CC}/licenses/by-nc/4.0/" href="{CC}/licenses/by/4.0/">x</a>
CC-BY-NC-4.0 | <p>CC BY<b>-NC</b> 4.0</p>
CC-BY-NC-4.0 | <del>CC BY 4.0</del> CC BY-NC 4.0
AMBIGUOUS | <a href="{CC}/licenses/by/4.0/"><img src="cc.png" alt="Creative Commons License"></a>
AMBIGUOUS | <a title="rel=license" href="{CC}/licenses/by/4.0/">help</a>
AMBIGUOUS | <p>CC BY 4.0</p><p>CC BY-NC 4.0</p>
REJECT | <script type="application/ld+json">{{"name": "CC BY 4.0"}}</script>
REJECT | <img src="a.jpg" alt='<a rel="license" href="{CC}/licenses/by/4.0/">'>
REJECT | <a data-x="<a rel=license href={CC}/licenses/by/4.0/>
REJECT | <title>CC BY 4.0</title>
REJECT | <a rel="license" href="/licenses/by/4.0/">x</a>
REJECT | <meta name="copyright" content="CC BY 4.0">
REJECT | <p></p>
""",
    "hf_card": """
CC-BY-4.0 | cc-by-4.0
CC-BY-4.0 | license: cc-by-4.0
CC-BY-4.0 | license:cc-by-4.0
CC-BY-4.0 | license: "cc-by-4.0"
CC-BY-4.0 | [cc-by-4.0]
CC0-1.0 | cc0-1.0
CC-BY-NC-SA-3.0 | cc-by-nc-sa-3.0
PDDL-1.0 | pddl
ODbL-1.0 | odbl
ODC-By-1.0 | odc-by
etalab-2.0 | etalab-2.0
CDLA-Permissive-2.0 | cdla-permissive-2.0
AMBIGUOUS | cc
AMBIGUOUS | gfdl
AMBIGUOUS | [cc-by-4.0, cc-by-sa-4.0]
REJECT | unknown
REJECT | other
REJECT | mit
REJECT | openrail
REJECT | cc-by-9.0
REJECT | pretty_name: cc-by-4.0
""",
    "cc_triple": """
CC-BY-4.0 | {"unit": "by", "version": "4.0", "jurisdiction": ""}
CC-BY-4.0 | {"unit": "by", "version": "4.0", "jurisdiction": null}
CC-BY-4.0 | {"license": "by", "version": "4.0"}
CC-BY-NC-SA-3.0-DE | {"unit": "by-nc-sa", "version": "3.0", "jurisdiction": "de"}
CC-BY-2.0-UK | {"unit": "BY", "version": "2.0", "jurisdiction": "UK"}
CC0-1.0 | {"unit": "zero", "version": "1.0", "jurisdiction": ""}
CC-PDM-1.0 | {"unit": "mark", "version": "1.0"}
AMBIGUOUS | {"unit": "by", "version": ""}
AMBIGUOUS | {"unit": "by", "version": "2.1"}
REJECT | {"unit": "by", "version": "4.0", "jurisdiction": "de"}
REJECT | {"unit": "by", "version": "7.0"}
REJECT | {"unit": "by-nd-sa", "version": "4.0"}
REJECT | {"version": "4.0"}
REJECT | {"unit": ["by"], "version": "4.0"}
REJECT | []
REJECT | by 4.0
REJECT | {"unit": "by", "version": "4.0"
""",
    "openverse_pair": """
CC-BY-2.0 | {"license": "by", "license_version": "2.0"}
CC-BY-NC-ND-1.0 | {"license": "by-nc-nd", "license_version": "1.0"}
CC0-1.0 | {"license": "cc0", "license_version": "1.0"}
CC-PDM-1.0 | {"license": "pdm", "license_version": "1.0"}
CC-SAMPLING-PLUS-1.0 | {"license": "sampling+", "license_version": "1.0"}
CC-BY-3.0-DE | {"license": "by", "license_version": "3.0", "license_url": "https://creativecommons.org/licenses/by/3.0/de/"}
AMBIGUOUS | {"license": "by", "license_version": "3.0", "license_url": "https://creativecommons.org/licenses/by-nc/3.0/"}
AMBIGUOUS | {"license": "by", "license_version": null}
AMBIGUOUS | {"license": "by"}
REJECT | {"license": "by", "license_version": "9.0"}
REJECT | {"license": "unknown", "license_version": "1.0"}
REJECT | {"license": null, "license_version": "1.0"}
REJECT | by
""",
    "wikimedia": f"""
CC-BY-SA-4.0 | CC BY-SA 4.0
CC-BY-SA-4.0 | cc-by-sa-4.0
CC-BY-SA-4.0 | cc-by-sa-4.0,3.0,2.5,2.0,1.0
CC-BY-SA-4.0 | CC BY-SA 4.0-3.0-2.5-2.0-1.0
CC-BY-SA-2.5 | cc-by-sa-2.5,2.0,1.0
CC-BY-SA-3.0 | cc-by-sa-3.0-migrated
CC-BY-SA-3.0-DE | cc-by-sa-3.0-de
CC-BY-SA-4.0 | Creative Commons Attribution-Share Alike 4.0
CC-BY-2.0 | {CC}/licenses/by/2.0
CC0-1.0 | cc0
CC0-1.0 | cc-zero
CC-BY-SA-3.0 | GFDL or CC BY-SA 3.0
PD-US-GOV | PD-USGov-NASA
CC-BY-SA-4.0 | {{"License": {{"value": "cc-by-sa-4.0"}}, "LicenseShortName": {{"value": "CC BY-SA 4.0"}}}}
AMBIGUOUS | {{"License": {{"value": "cc-by-sa-4.0"}}, "LicenseUrl": {{"value": "{CC}/licenses/by/4.0"}}}}
AMBIGUOUS | PD-old-100
AMBIGUOUS | PD-Art
AMBIGUOUS | PD-self
AMBIGUOUS | pd
AMBIGUOUS | Public domain
AMBIGUOUS | Attribution
AMBIGUOUS | Copyrighted free use
AMBIGUOUS | cc-by-sa-4.0|cc-by-nc-4.0
AMBIGUOUS | CC BY-SA 4.0, GFDL
REJECT | Fair use
REJECT | All rights reserved
REJECT | cc-by-sa-9.0
""",
    "wikimedia_wikitext": """
CC-BY-SA-4.0 | {{self|cc-by-sa-4.0}}
CC-BY-SA-4.0 | {{Self|author=Jane|Cc-by-sa-4.0}}
CC-BY-SA-3.0 | {{self|GFDL|cc-by-sa-3.0}}
CC-BY-SA-4.0 | {{self|GFDL|cc-by-sa-all}}
CC-BY-SA-3.0 | {{self|GFDL|cc-by-sa-3.0,2.5,2.0,1.0}}
CC-BY-4.0 | {{cc-by-4.0|Jane Doe}}
CC-BY-SA-3.0-DE | {{Cc-by-sa-3.0-de}}
CC-BY-4.0 | {{Information|author=Jane|permission={{cc-by-4.0}}}}
CC-BY-4.0 | == {{int:license-header}} == {{cc-by-4.0}} [[Category:Self-published work]]
CC0-1.0 | {{Cc-zero}}
CC0-1.0 | {{self|cc-zero}}
CC-BY-SA-3.0 | {{GFDL|migration=relicense}}
PD-US-GOV | {{PD-USGov-NASA}}
AMBIGUOUS | {{cc-by-4.0}}{{cc-by-nc-4.0}}
AMBIGUOUS | {{cc-by-sa-4.0}} {{GFDL}}
AMBIGUOUS | {{PD-old-100}}
AMBIGUOUS | {{PD-Art|PD-old-100}}
AMBIGUOUS | {{PD-self}}
AMBIGUOUS | {{GFDL}}
AMBIGUOUS | {{cc-by-4.0}} {{delete|reason=copyvio}}
AMBIGUOUS | {{self|cc-by-sa}}
REJECT | <!-- {{cc-by-4.0}} -->
REJECT | <nowiki>{{cc-by-4.0}}</nowiki>
REJECT | {{tl|cc-by-4.0}}
REJECT | {{cc-by-9.0}}
REJECT | {{Information|author=Jane}}
REJECT | cc-by-4.0
REJECT | [[Category:CC-BY-SA-4.0]]
REJECT | {{cc-by-4.0
""",
    "wikidata_p275": """
CC-BY-4.0 | Q20007257
CC-BY-SA-4.0 | Q18199165
CC-BY-SA-3.0 | Q14946043
CC0-1.0 | Q6938433
CC-PDM-1.0 | Q7257361
CC-BY-4.0 | http://www.wikidata.org/entity/Q20007257
CC-BY-4.0 | https://www.wikidata.org/wiki/Q20007257
AMBIGUOUS | Q6905323
AMBIGUOUS | Q19652
REJECT | Q42
REJECT | Q200072570
REJECT | q20007257x
REJECT | https://evil.com/Q20007257
REJECT | CC BY 4.0
""",
    "flickr_id": """
CC-BY-NC-SA-2.0 | 1
CC-BY-NC-2.0 | 2
CC-BY-NC-ND-2.0 | 3
CC-BY-2.0 | 4
CC-BY-SA-2.0 | 5
CC-BY-ND-2.0 | 6
PD-US-GOV | 8
CC0-1.0 | 9
CC-PDM-1.0 | 10
CC-BY-4.0 | 11
CC-BY-SA-4.0 | 12
CC-BY-ND-4.0 | 13
CC-BY-NC-4.0 | 14
CC-BY-NC-SA-4.0 | 15
CC-BY-NC-ND-4.0 | 16
REJECT | 0
REJECT | 7
REJECT | 17
REJECT | -1
REJECT | 4.0
REJECT | 04
REJECT | ４
REJECT | CC BY 2.0
""",
    "flickr_name": """
CC-BY-2.0 | Attribution License
CC-BY-NC-SA-2.0 | Attribution-NonCommercial-ShareAlike License
CC0-1.0 | Public Domain Dedication (CC0)
CC-PDM-1.0 | Public Domain Mark
PD-US-GOV | United States Government Work
CC-BY-4.0 | CC BY 4.0
CC-BY-NC-ND-2.0 | CC BY-NC-ND 2.0
REJECT | All Rights Reserved
REJECT | No known copyright restrictions
REJECT | CC BY 3.0
REJECT | Attribution
""",
    "yfcc100m_licensename": """
CC-BY-2.0 | Attribution License
CC-BY-SA-2.0 | Attribution-ShareAlike License
CC-BY-ND-2.0 | Attribution-NoDerivs License
CC-BY-NC-2.0 | Attribution-NonCommercial License
CC-BY-NC-SA-2.0 | Attribution-NonCommercial-ShareAlike License
CC-BY-NC-ND-2.0 | Attribution-NonCommercial-NoDerivs License
REJECT | Public Domain Mark
REJECT | All Rights Reserved
REJECT | CC BY 2.0
""",
    "inat_license_int": """
CC-BY-NC-SA-4.0 | 1
CC-BY-NC-4.0 | 2
CC-BY-NC-ND-4.0 | 3
CC-BY-4.0 | 4
CC-BY-SA-4.0 | 5
CC-BY-ND-4.0 | 6
CC0-1.0 | 9
AMBIGUOUS | 8
REJECT | 0
REJECT | 7
REJECT | 10
REJECT | 11
""",
    "inat_code": """
CC-BY-4.0 | CC-BY
CC-BY-NC-4.0 | cc-by-nc
CC-BY-NC-SA-4.0 | CC-BY-NC-SA
CC-BY-ND-4.0 | CC-BY-ND
CC0-1.0 | CC0
AMBIGUOUS | gfdl
AMBIGUOUS | PD
REJECT | C
REJECT | null
REJECT | CC-BY-9.0
REJECT | CC-BY-ND-SA
""",
    "fondant_license_type": """
CC0-1.0 | zero
CC-PDM-1.0 | mark
AMBIGUOUS | by
AMBIGUOUS | by-nc-sa
AMBIGUOUS | publicdomain
REJECT | unknown
REJECT | by-4.0
REJECT | by-nd-sa
""",
    "laion_license": f"""
CC-BY-4.0 | {CC}/licenses/by/4.0/
CC-BY-NC-ND-2.0 | http://creativecommons.org/licenses/by-nc-nd/2.0/
AMBIGUOUS | {CC}/licenses/by/
REJECT | ?
REJECT | nan
REJECT | http://example.com/terms
""",
    "pd12m_license": f"""
CC0-1.0 | {CC}/publicdomain/zero/1.0/
CC-PDM-1.0 | {CC}/publicdomain/mark/1.0/
CC0-1.0 | CC0 1.0
CC-PDM-1.0 | Public Domain Mark 1.0
AMBIGUOUS | Public Domain
REJECT | http://rightsstatements.org/vocab/NoC-US/1.0/
""",
    "smithsonian_access": """
CC0-1.0 | CC0
REJECT | Usage conditions apply
REJECT | public domain
""",
    "met_isPublicDomain": """
CC0-1.0 | True
CC0-1.0 | true
REJECT | False
REJECT | 1
REJECT | yes
""",
    "cleveland_share_license_status": """
CC0-1.0 | CC0
REJECT | Copyrighted
REJECT | CC BY
""",
    "museumvictoria_licence": f"""
CC-BY-4.0 | {{"name": "Attribution 4.0 International", "shortName": "CC BY", "uri": "{CC}/licenses/by/4.0"}}
CC-PDM-1.0 | {{"shortName": "public domain", "uri": "{CC}/publicdomain/mark/1.0/"}}
CC-BY-4.0 | {CC}/licenses/by/4.0
AMBIGUOUS | CC BY
AMBIGUOUS | public domain
REJECT | All Rights Reserved
REJECT | {{"shortName": "All Rights Reserved", "uri": null}}
""",
    "exif_copyright": f"""
CC-BY-4.0 | (c) 2020 Jane Doe, CC BY 4.0
CC-BY-SA-3.0 | Copyright 2008 Jane Doe. This work is licensed to the public under the Creative Commons Attribution-ShareAlike license {CC}/licenses/by-sa/3.0/ verify at http://example.com/page
CC0-1.0 | CC0
AMBIGUOUS | Jane Doe, CC BY
REJECT | Jane Doe
REJECT | (c) 2020 Jane Doe. All rights reserved.
""",
    "dc_rights": f"""
CC-BY-4.0 | {CC}/licenses/by/4.0/
CC-BY-4.0 | CC BY 4.0
REJECT | http://rightsstatements.org/vocab/InC/1.0/
REJECT | Copyright Jane Doe
""",
    "xmp_webstatement": f"""
CC-BY-4.0 | {CC}/licenses/by/4.0/
REJECT | https://example.com/licence.html
REJECT | CC BY 4.0
""",
    "xmp_usageterms": """
CC-BY-4.0 | This work is licensed under CC BY 4.0
REJECT | All rights reserved
""",
    "cc_license_xmp": f"""
CC-BY-SA-2.5-IT | http://creativecommons.org/licenses/by-sa/2.5/it/
CC0-1.0 | {CC}/publicdomain/zero/1.0/
REJECT | CC0
""",
    "declaration": """
CC-BY-4.0 | CC-BY-4.0
CC0-1.0 | CC0-1.0
""",
}


def cases() -> list[tuple[str, str, str]]:
    """(source kind, input, expected token) for every line."""
    found = []
    for kind, lines in KINDS.items():
        for line in lines.strip("\n").split("\n"):
            token, _, text = line.partition(" | ")
            found.append((kind, text, token))
    return found
