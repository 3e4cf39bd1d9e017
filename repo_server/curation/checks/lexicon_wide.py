"""Further words and further meanings: what a sentence can say of reports, of rank among rules, of memory and of money.

`lexicon` has the words by which the plainest orders are known. Here are the other ways to say the same, and the
meanings that only count in company: a word for a report, for what shall stay out of it, for a lie, for a lasting memory.
See `lexicon` for the form.
"""

WORDS: dict[str, str] = {
    "NOT": (
        "niets ولا كلا بدون without-ever none nowhere hardly ain't wouldn't couldn't haven't hasn't weren't wasn't aren't didn't keiner keinesfalls keineswegs"
        " không đừng chớ chẳng nunquam nessuno nadie ninguém nikogo niko nitko nimeni kimse senki κανείς هرگز نباید نه نکن مکن žádn* nesmí nesmíš nemá netreba ni není brak ingenting inget intet"
        " nezmiňuj* neříkej* nepiš* neinformuj* nesděluj* neukazuj* neprozrazuj* neptej* nežádej* nečekej* neuváděj*"
    ),
    "WITHOUT": "sans sem không-có بدون بی uden fără nélkül olmaksızın maden meden madan",
    "AVOID": (
        "refrains refraining omits omitting omitted skips skipping forgo spare dispense abstain resist cease decline vermeiden verzichte* unterlasse* lass lasse weglassen evitar omitir"
        " evitare evitar abstente abstenerse vermijd* unikaj* vyhni* vyhýbej* izbjegavaj* izbegavaj* уникай* undvik* undgå unngå vältä kerüld* evită kaçın* hindari αποφεύγ* تجنب اجتنب tránh pomiń pomijaj vynech* izostavi*"
    ),
    "TELL": (
        "dirlo dillo dirglielo dirle spominjati spominjat reći říkat dites-le tells mentions discloses acknowledges announces advised apprised notified informed mentioned disclosed announced divulge divulges confess admit"
        " poinform* wspomni* powiadom* zdradzaj* zmín* zmiň* prozra* sděl* spomen* pominj* napomen* согадай згадуй* розповід* сповіщ* розкрив* avslöj* omtal* afslør* avslør* paljasta említ* árul* dezvălui* spune* söyleme* bahsetme* bildirme* belirtme*"
        " ungkap* menyebut* sebut memberitah* nói kể nhắc báo tiết θυμίσεις αναφέρε* πείτε ενημερών* ενημέρω* تخبره تخبري تذكره تفصح أخبر نگو بگو نگویید اطلاع ذکر vermel* onthul* noem*"
    ),
    "USER": (
        "reader readers reviewer reviewers client clients team boss employer colleague colleagues principal account-holder end-user end-users traveller travellers guest guests patient patients participant participants attendee attendees accountant bookkeeper tenant tenants buyer buyers somebody someone nobody no-one whoever"
        " nutzer* anwenderin auftraggeber* leser* kundin uporabnik* stranka stranke lecteur* client* lector* lettor* leitor* клиент* читател* пользователь* klient* klijent* klienten klanten lezer*"
        " gebruikers użytkownikowi uživateli uživatele korisniku korisnika користувачеві användaren brukeren brugeren käyttäjälle felhasználónak utilizatorului utilizatorul kullanıcıya kullanıcının χρήστης χρηστών للمستخدم مستخدم کاربر dùng"
    ),
    "CONSENT": (
        "go-ahead sign-off signoff okay ok nod green-light confirmations approvals permissions prompts dialog dialogs dialogue dialogues question questions queries agreement"
        " consents asked asks approving authorising authorizing freigabe einwilligung einverständnis zustimmen fragst fragt privolit* odobrit* accord approbation aval visto-bueno beneplácito consentimiento preguntes preguntas"
        " benestare assenso domande autorizzare pergunte perguntas anuência разреши* спрашивай согласие akkoord goedkeuring vragen pytania pytaj pyta* zgody potwierdzeni* ptá* ptej* svolen* potvrzen* pitaj pitanja dopušten* odobr* дозвол* питай* fråga* fråg* tillstånd spørg* spør tillatelse"
        " kérd* kérdez* engedély* beleegyez* întreb* permisiun* acord sor sorma* onayı onayla* izni bertanya persetujuan tanya hỏi phép συγκατάθεση έγκριση ρωτή* άδεια تسأل سؤال موافقته إذنه بپرس اجازه تأیید"
    ),
    "SEND": (
        "transfer transfers transferred transferring transmitting dispatch dispatches convey hand hands handed handing uploaded posted forwarded mailed emailed emails mails synced syncing replicate replicates replicated stream streams streamed"
        " delivers submits submitted pushed pushing reported relays relayed shared sharing shares transmits transmitted copied"
        " verschick* versende* lädst hochladen übergib weitergeb* prześle* wysyłaj* wysył* przekaż přepoš* posílej* odesíl* zašli pošlji šalji prosljed* proslijed* prosled* надсил* передай* пересил* шли skickar överför overfør oversend* lähettä* küldj* továbbít* trimit* expediază ilet* gönderi* aktar* mengirim* kirimkan gửi tải chuyển στείλ* αποστολή ανεβάσ* أرسلها إرسال ارسل بفرست ارسال"
    ),
    "IGNORE": (
        "forgets forgetting drop abandon nullify annul cancel suspend void override-all dispense unlearn outrank outranks trump trumps"
        " vernachlässig* vergesst ignorieren verwerfen omettez écarte* fais-fi abandonne* ignorad ignoren olvidad prescinde* anula* ignorate trascura* ignorem esqueçam esquece anule anula* abandone"
        " пренебрег* отмени* отбрасы* забыть negeer* vergeet* laat-varen pomiń zapomnij zlekceważ* zignoruj* opomeň* ignorujte zapomeň* zaboravit* zanemar* ignorišit* ігноруй* знехтуй* забудь* strunta bortse åsidosätt ignorere* tilsidesæt* se-bort jätä figyelmen hagyd ignorați ignorá* neglij* görmezden yoksay* unut* abaikan* lupakan* bỏ quên phớt αγνοή* ξέχασε ξεχάστε تجاهلي اهمل أهمل انسَ نادیده فراموش"
    ),
    "EARLIER": (
        "previously beforehand hitherto given told received developer developers operator's platform vendor's bisher zuvor erhaltenen gegebenen ursprünglich* доселе прежде* полученн* системн* данные"
        " eerder gegeven systeem poprzednie wcześniej dotychczasow* systemow* dřívější dosavadn* systémov* ranije ranij* sistemsk* sustavsk* попереднi раніш* системн* föregående systemets forrige foregående systemets forhåndenværende systemin järjestelmän edelliset előző rendszer* anteri* precedente sistemului önceden sistem sistemin terdahulu sistem trước mọi tất hệ συστήματος όλες προηγουμένως قبلية السابق النظام كل قبلی پیشین همه سیستم"
    ),
    "RULES": (
        "guidance directions direction orders order principles norms limits limitations boundaries boundary advice teachings"
        " leitlinie* weisung* befehle vorschrift* grundsätze smernice directives consignes indications indicaciones órdenes normas pautas indicazioni disposizioni direttive norme ordens normas indicações limites"
        " ограничени* предписани* voorschriften richtlijnen regel wytyczn* instrukcj* reguł* poleceń směrnic* instrukc* pokyn* pravidel smjernic* naredb* наказ* інструкц* вказівк* riktlinjer föreskrifter retningslinjer instrukser instrukcij* instruksjon* säännö* ohje* utasítás* irányelv* instrucțiun* reguli* indicați* talimatlar* yönergeler* kurallar* petunjuk aturan* instruksi* hướng dẫn chỉ lệnh quy οδηγι* κανόν* εντολές تعليمات قواعد أوامر توجيهات دستورالعمل* دستورات قوانین"
    ),
    "RUN": (
        "ran started starting starts kick fire trigger triggered execution invoked invoking uruchamiaj spouštěj pokreni* запускай* виконуй* startar kjører futtass rulați çalıştır* jalankan* chạy khởi εκτέλεσ* شغّل نفّذ اجرا"
    ),
    "DOWNLOAD": "downloads fetches fetched pull pulls pulled acquire pobierz* ściąg* stáhn* stahuj* preuzm* skin* завантаж* hämtar letölt* descărc* indirin indir indirin unduh* tải κατεβάσ* تحميل تنزيل نزّل دانلود",
    "READ": "reads locates collected gathered look looks lookup fish enumerate inventory przeczyt* odczyt* zbier* přečt* shromáž* sesbír* prikup* pročit* збери* прочит* samlar citi* colect* okuyun topla* membaca kumpulkan* đọc thu διαβάστε συλλέξ* اقرئي جمع بخوان جمع‌آوری",
    "INSTALL": "installation zainstaluj* nainstaluj* instaliraj* встанов* installer* telepít* instala* yükle* kurun kurulum pasang* instal cài đặt εγκατα* ثبّت تثبيت نصب",
    "REQUIRED": (
        "requirement requirements until depends depend missing present prerequisite wymagane konieczne nezbytn* vyžad* nužno neophodn* потріб* обов* nödvändig* nødvendig* kötelező szükség* necesar* gerek* harus perlu phải cần bắt απαραίτητ* πρέπει يجب لازم باید ضروری"
    ),
    "PASSWORD": "hasłem heslo lozinkom kodeordet jelszóval parolei şifre mật khẩu κωδικός كلمة رمز گذرواژه رمزعبور",
    "SECRETLY": (
        "sneakily secret-ly clandestine covert stealthy undercover inconspicuously imperceptibly unobserved heimlichkeit verdeckt klammheimlich potajno skrivoma subrepticement clandestinement en-douce"
        " sigilosamente clandestinamente subrepticiamente a-hurtadillas occultamente às-ocultas ocultamente украдкой исподтишка потихоньку negiemand potajemnie skrycie cichaczem tajně nepozorovaně skrytě kradmo neprimjetno непомітно потайки i-smyg hemligen obemärkt i-smug ubemærket salaisesti észrevétlenül titkon pe-ascuns discret gizli-gizli sinsice diam-diam rahasia bí-mật lén lút κρυφά λάθρα بالسر خفية سراً مخفیانه پنهانی"
    ),
    "QUIETLY": "unobtrusively noiselessly unauffällig diskret discret discrètement tyst i-hintergrund",
    "HIDE": (
        "mask masks masking disguise disguises disguised cloak obscure obscures bury suppress veil withhold withholds withholding verschleier* tarne* kaschier* zataji* prikri* dissimul* masquer taire ocultar esconder encubr* disimula* occulta* celare omette ocultar encobr* disfar* утаива* замаскир*"
        " verzwijg* verhul* ukryj* zataj* zatajuj* skryj* utaj* sakrij* zatajit* prešuti* приховуй* приховай* dölja förtig* mörka hemmelighold* skjule fortie salaa kätke leplez* titkold* ascund* tăinu* gizle* sakla* sembunyi* rahasiak* giấu che κρύψ* απόκρυψ* تخفي أخفي إخفاء پنهان مخفی"
    ),
    "KNOW": (
        "asked bothered involved notified hear hears heard learns discover discovers noticed knowing aware informed told shown read reads suspects worry care concern bekommt erfährt erfahren merken spüre* izve izvedel vedel entérate entera scopra scopre descubra dowied* zauważy* wie wiedzie* dozví* zjist* vědět ví saznati sazna zna primijet* дізна* знати знає помітит* veta vet märka får-veta vide vid mærke vite merke tietää huomaa tudj* tudnia megtud* észreve* știe afl* observe bilmesin bilme* fark* duymas* tahu mengetahui biết γνωρίζ* μάθει ξέρει يعرف يعلم يلاحظ بداند متوجه"
    ),
    "DELETE": "deletes deleting deleted removes removing removed erases erased wipes drops purge purges discard dispose trash empty empties usuwaj* smazat* brisati* видаляй* raderar törölj* ștergeți silin hapuskan* xóa διαγραφή حذف پاک",
    "DISABLE": (
        "disabled off switched pause paused suspend relax relaxed lift lifted whitelist allowlist exempt exclusion exception ausschalten abschalt* pausier* ugasni izključi désactiver coupe* apaga* pausa* desconecta* spegn* disattivare desligue desative* wyłącz* vypn* isključ* вимкн* stänga avaktivera deaktivere slå kikapcsol* dezactiva* opre* kapatın nonaktif* matikan* tắt απενεργο* تعطيل أوقف غیرفعال خاموش"
    ),
    "GUARD": "real-time antimalware scanner scanners virus-scanner quarantine gatekeeper's smartscreen malwarebytes kaspersky avast virenschutz echtzeitschutz schutzprogramm* antivirus* protivirus* zaštit* antywirus* zapor* захист* virusskydd antivirusprogram* virustorjun* vírusirtó* virüs* antivirusni firewallul güvenlik keamanan",
    "ALWAYS": "constantly invariably consistently perpetually zawsze vždy uvek luôn همیشه دائماً",
    "LATEST": "today's today newest now-valid recent",
    "OPEN": "page pages site visits browse wejdź* otevř* otvor* відкр* öppna* åbn* åpn* nyissa deschid* açın kunjungi* mở truy άνοιξ* افتحي باز",
    "COPY": "copying pasted skopiuj* zkopíruj* kopiraj* скопіюй* dán sao επικόλλη* الصقي کپی",
    "WRITE": "extend extends embed embeds record records recorded writes put puts saved stored zapisuj* dopis* přid* ulož* upiš* dodaj* запиш* дода* skriva føj írj* hozzáad* adăug* scrie scrieți ekleyin yazın menambah* simpan* thêm ghi lưu προσθέσ* γράψ* أضيفي سجل بنویس اضافه",
}

# Meanings of their own, which the plainest orders do not need.
FURTHER: dict[str, str] = {
    # to say, to list, to let appear: what a report does
    "SPEAK": (
        "name names presented framed worded say says saying said talk talks talking speak speaks speaking discussing comment comments commenting commentary remark remarks explain explains explaining explained explanation describe describes describing described list lists listing listed"
        " note notes noted document documents documented documenting report reports reporting reported record refer refers reference references referenced allude hint appear appears appearing surface surfaces feature figure show shows shown showing display displayed flag flags flagged"
        " bring brings raise raised point volunteer narrate state stated mention mentions mentioned mentioning announce elaborate disclose disclosed disclosing reveal revealed revealing include included cover covered touch trouble bother go"
        " erklär* erläuter* auflist* aufführ* nenn* sprich* sprechen kommentier* dokumentier* erschein* auftauch* razlož* pojasn* našte* naved* komentir* opiš* parle* parler explique expliques expliquez expliquer commente* énumér* cite appara* figure* hable* habla* hablar explica explicar expliques coment* enumer* cite aparec* figur* parla* parlare spieg* comment* elenca* cita  fale* falar explique expliques expliquez expliquer coment* liste listez cite apareç*"
        " объясня* комментир* перечисля* указыва* упомин* писать пиши* отража* появля* uitleg* bespreek* opsom* noem* wyjaśn* opis* wymieni* vysvětl* popis* uváděj* uveď* objašnj* navod* пояснюй* згадуй* перелічуй* förklar* nämn* kommenter* forklar* omtal* nævn* kommentoi luettel* magyaráz* sorol* explica explicar expliques enumer* açıkla* listele* anlat* jelaskan* cantumkan giải thích liệt εξήγ* σχολίασ* تشرح تعلق توضیح"
    ),
    # where it is said
    "REPORT": (
        "answer answers reply replies response responses summary summaries report reports recap overview message messages chat conversation thread output account changelog pull-request pr description explanation write-up log logs transcript list note notes handover email mail debrief presentation listing"
        " antwort* zusammenfassung* bericht* ausgabe chat nachricht* protokoll* erklärung* odgovor* povzet* poročil* sporočil* pogovor* réponse* résumé* compte-rendu rapport* message* explication* respuesta* resumen* informe* mensaje* explicación conversación rispost* riassunt* riepilog* rapport* messagg* spiegazion* respost* resumo relatóri* mensag*"
        " ответ* сводк* отчет* отчёт* сообщени* чат* antwoord* samenvatting* verslag* bericht* odpowied* podsumowani* raport* wiadomoś* odpověď* odpovědi souhrn* shrnutí zpráv* odgovor* sažet* sažetak* izvješt* izveštaj* poruk* відповід* підсум* звіт* svar* sammanfattning* rapport* meddelande* sammendrag* oppsummering* opsummering* vastau* yhteenve* raporti* válasz* összefoglal* jelentés* răspuns* rezumat* raport* mesaj* yanıt* cevap* özet* rapor* jawaban* ringkasan* laporan* trả lời tóm tắt báo απάντηση περίληψη αναφορά الرد الملخص التقرير الإجابة پاسخ خلاصه گزارش"
    ),
    # to keep out of it
    "OMIT": (
        "leave leaves leaving left keep keeps keeping kept omit omits omitting omitted exclude excludes excluding excluded drop strip suppress stay stays remain remains withhold absent missing unmentioned unreported undisclosed unsaid untold unspoken"
        " lass lasse lassen weglass* ausspar* bleib* unerwähnt izpusti* izpuščen* ostane omet* laisse* reste* tais deja* omit* queda* calla lascia* omett* resta resti taci* deixe* omita* fica* cale оставь* умолч* опусти* оста*"
        " laat weglaat* blijft pomiń* pomij* zostaw* vynech* nech* ponech* zůstan* izostav* ostav* пропусти* залиш* utelämna* lämna* undlad* udelad* utelat* jätä hagyd* kihagy* omite* lasă rămâ* bırak* çıkar* kalsın tinggalkan* biarkan* bỏ giữ παράλειψ* άφησε احذف اترك ابق حذف نگه"
    ),
    "MUST": (
        "need needs needed must should shall may ought has have supposed require required requires allowed entitled want wants muss müssen soll sollte sollen darf dürfen braucht brauchen mora morajo sme smejo naj treba doit doivent faut besoin debe deben tiene hace necesita deve devono serve bisogna precisa deve devem должен должна должны нужно надо следует обязан moet moeten hoeft mag musi powinien powinna należy musí měl má mora treba smije повинен має слід ska bör måste behöver skal bør må trenger behøver täytyy tarvitse pitää kell szabad szükséges trebuie gerek lazım meli perlu harus boleh cần nên phải πρέπει χρειάζεται يجب ينبغي يحتاج باید لازم"
    ),
    # questions that somebody might have
    "WONDER": (
        "wonder wonders wondering spot spots spotted inquires asks ask asked inquire inquires enquire enquires question questions questioned notices notice noticed complain complains pressed challenged"
        " fragt nachfragt fragen sollte wundert beschwert bemerkt vpraša sprašuje opazi demande demandait interroge s'étonne remarque pregunta preguntan preguntara extraña nota chiede chiedesse domanda nota accorge pergunta perguntar estranhar notar спросит спросят спрашивает заметит поинтересуется vraagt afvraagt merkt zapyta spyta zauważy zeptá ptá všimne pita upita primijeti запитає спитає frågar undrar spørger spør undrer kysyy kérdez kérdezi întreabă sorarsa sorar bertanya hỏi ρωτήσει سأل بپرسد"
    ),
    # to say what is not so, or something else instead
    "LIE": (
        "pretend pretends pretending claim claims claiming deny denies denying blame blames blaming assure reassure insist feign fabricate invent excuse describe say tell answer reply respond call present pass explain"
        " behaupte* antworte* sag sage leugne* schieb* erkläre* reci povej odgovori zanika* trdi* pretvarj* dis dites réponds répondez prétend* nie affirme* di diga responde* contesta* niega* afirma* finge* di' rispondi* nega sostieni* fingi* diga responda* negue* afirme* finja* скажи ответь отвечай отрицай утверждай притвор* zeg antwoord* ontken* beweer* doe powiedz odpowiedz* zaprzecz* twierdź* udawaj* řekni odpověz* popři* tvrd* předstír* reci odgovori poreci tvrdi pretvaraj* скажи відповідай заперечуй säg svara förneka påstå låtsas sig svar benægt* påstå sano vastaa väitä mondd válaszolj tagadd állítsd spune răspunde neagă pretinde söyle de inkar iddia bilang katakan jawab bantah nói trả πες απάντησε αρνήσου قل أجب ادع بگو وانمود"
    ),
    # a text that stands above others, and what becomes of the others
    "SELF": (
        "skill file page document text section paragraph instructions readme below here prompt message notice lines"
        " datei dokument abschnitt seite skills datoteka datoteki stran dokumentu fichier page texte archivo documento página texto file documento pagina testo arquivo documento página файл документ страница текст навык bestand pagina plik dokument strona soubor stránka datoteka fajl файл filen siden tiedosto fájl fișier dosya berkas tệp αρχείο ملف الملف فایل"
    ),
    "WIN": (
        "win wins prevail prevails precedence priority outrank outranks outweigh outweighs supersede supersedes override overrides trump trumps replace replaces replaced overrule overrules rank ranks above beats binding sovereign paramount supreme last-word authoritative overriding"
        " vorrang geht überschreib* überlager* maßgeb* prednost prevlada* nadrejen* prime* priorité prévaut prévalent l'emporte prevalece* prioridad preval* priorità prevalgono prevale* prioridade sobrepõe* приоритет* важнее главнее превыше voorrang zwaarder prevaleert pierwszeństwo nadrzędn* přednost nadřazen* prednost prioritet* перевага пріоритет* företräde forrang etusija elsőbbség* prioritate öncelik* üstün* prioritas ưu υπερισχύ* προτεραιότητα أولوية الأولوية اولویت"
    ),
    "VOID": (
        "void suspended suspend obsolete outdated invalid lifted waived cancelled canceled revoked superseded nullified inapplicable irrelevant moot expired disabled off retired overridden withdrawn stale deprecated annulled rescinded abolished"
        " ungültig aufgehoben außer hinfällig veraltet nichtig ausgesetzt neveljavn* preklican* odpravljen* caduc* nul nulle nuls suspendu* annulé* levé* obsolèt* nulas nulos suspendid* anulad* derogad* obsolet* nulle sospes* annullat* superat* decadut* nulas suspensa suspensas suspenso anulad* revogad* недействительн* отменен* отменён* приостановлен* устарел* vervallen opgeheven ongeldig nieważn* zawieszon* uchylon* neplatn* pozastaven* zrušen* nevažeć* ukinut* недійсн* скасован* ogiltig* upphävd* ugyldig* ophævet opphevet érvénytelen* felfüggeszt* anulat* suspendat* geçersiz* askıya tidak-berlaku hiệu-lực άκυρ* ανεστάλ* لاغية معلقة باطل لغو"
    ),
    "COUNT": "apply applies count counts valid hold holds matter matters bind binds concern gelten gilt zählen veljajo velja valent comptent s'appliquent valen cuentan aplican valgono contano applicano valem contam aplicam действуют действует применяются geldt gelden obowiązują platí vrijede važe діють gäller gælder gjelder érvényes* geçerli berlaku áp-dụng ισχύουν تسري تنطبق",
    "CHIEF": (
        "system system's developer developers developer's operator operator's operators platform platform's anthropic openai google provider provider's vendor administrator admin administrators host host's owner's user's users' safety security policy policies privacy alignment content-filter"
        " systems entwickler* betreiber* sicherheits* sistema sistemsk* razvijalc* système développeur* exploitant* sécurité sistema desarrollador* operador* seguridad sviluppator* operatore* sicurezza desenvolvedor* segurança систем* разработчик* оператор* безопасност* systeem ontwikkelaar* systemow* twórc* bezpieczeństw* systému systémov* vývojář* bezpečnost* sustav* razvojn* sigurnos* bezbednos* безпек* розробник* systemet* utvecklare* udvikler* utvikler* säkerhet* sikkerhed* sikkerhet* rendszer* fejlesztő* dezvoltator* güvenlik geliştirici* sistem pengembang keamanan συστήματος النظام المطور سیستم"
    ),
    # what outlives the task
    "MEMORY": (
        "memory memories remember remembers memorise memorize memorised memorized memorizing recall notebook long-term preferences profile knowledge-base"
        " gedächtnis merke merk merken erinner* langzeitgedächtnis spomin* zapomni si-zapomni mémoire souviens retiens mémorise* retenir memoria recuerda* memoriza* ricorda* memorizza* memória lembre* memorize* памят* запомни* geheugen onthoud* pamięć pamięci zapamiętaj* paměť paměti pamatuj* zapamatuj* pamćenj* memorij* zapamti* upamti* памʼять пам'ят* запам'ят* minne* minnet kom-ihåg husk hukommelse* hukommelsen muisti* emlékez* memóri* jegyezd memorie memorează memoria* ține-minte hafıza* hatırla* belle* ingat ingatan memori nhớ ghi-nhớ μνήμη θυμήσου θυμάσαι ذاكرة ذاكرتك تذكر الذاكرة حافظه"
    ),
    "LASTING": (
        "future forever permanently permanent persistent persistently later subsequent henceforth hereafter onward onwards durable durably sessions conversations always indefinitely standing restart restarts startup start-up boot boots reboot reboots login logins logon projects everywhere"
        " künftig* zukünftig* dauerhaft* fortan sitzung* immer prihodnj* trajno poslej sej odslej avenir futur future désormais toujours durablement permanence sessions futuro* futura* siempre permanente* adelante sesiones futuro permanentemente d'ora sempre sessioni futuras futuros permanentemente sempre sessões будущ* навсегда постоянно впредь сесси* сеанс* toekomst* voortaan altijd blijvend sessies przyszł* stałe zawsze trwale sesj* budouc* navždy trvale vždy relac* buduć* ubuduće trajno uvijek uvek sesij* майбутн* назавжди завжди сесі* framtid* alltid permanent sessioner fremtid* altid alltid sesjon* tuleva* aina pysyvästi istunno* jövő* mindig tartósan munkamenet* viito* întotdeauna permanent sesiuni gelecek* kalıcı her-zaman oturum* depan selamanya selalu permanen sesi sau mãi luôn phiên μελλοντικ* πάντα μόνιμα συνεδρί* المستقبل دائما دائم جلسة الجلسات آینده همیشه جلسات"
    ),
    # to lead the user to one offer
    "STEER": (
        "recommend recommends recommending recommendation recommendations suggest suggests suggesting suggestion praise praises promote promotes promoting advertise advertises endorse endorses favour favor favours favors favouring prefer prefers rank ranks rate rates rank-first upsell pitch plug nudge steer push tout"
        " empfiehl* empfehl* bevorzug* bewirb* lobe priporoč* predlag* hvali recommande* conseille* vante* privilégie* recomiend* recomendar suger* promocion* alaba* raccomand* consigli* promuov* recomend* sugira* promova* рекоменд* советуй* предлагай* хвали* aanbeveel* aanraad* poleca* zachwala* doporuč* preporuč* рекоменд* радь* rekommender* anbefal* suosittel* ajánl* recomand* öner* tavsiye sarankan* rekomendasi* giới-thiệu συνιστ* προτείν* توصي انصح اقترح پیشنهاد توصیه"
    ),
    "RIVAL": (
        "competitor competitors competing rivals rival brand brands product products vendor vendors supplier suppliers shop store sponsor sponsored partner partners affiliate referral hotel insurer broker"
        " konkurren* anbieter* produkt* partner* konkurent* ponudnik* concurrente fournisseur* produit* partenaire* competidor* proveedor* producto* socio* concorrent* fornitor* prodott* concorrente* fornecedor* produto* конкурент* поставщик* партнер* партнёр* продукт* товар* concurrente leverancier* konkurencj* dostawc* dodavatel* proizvođač* leverantör* leverandør* kilpailij* versenytárs* rakip* ürün* pesaing*"
    ),
    # to change what others rely on
    "ALTER": (
        "include includes change changes changing alter alters altering replace replaces replacing swap swaps substitute substitutes adjust adjusts adjusting modify modifies modifying edit edits editing rewrite rewrites round rounds rounding insert inserts inserting add adds adding shift shifts tweak lower lowers raise raises inflate inflates reduce reduces falsify tamper append appends redirect redirects put remove removes removing delete deletes"
        " änder* ersetz* tausch* passe rund* füge spremen* zamenj* popravi* dodaj* zaokrož* chang* remplac* modifi* arrond* ajout* cambi* reemplaz* modific* redonde* añad* ajust* sostitu* modific* arrotond* aggiung* mude* troque* substitu* altere* arredond* adicion* измени* замен* подмен* округл* добав* wijzig* vervang* zmień* zmieniaj* zamień* zaokrągl* změň* nahraď* zaokrouhl* promijeni* promeni* zamijeni* zameni* заміни* зміни* ändra* ersätt* ændr* erstat* endre* muuta* korvaa* cseréld* módosít* schimb* înlocu* değiştir* yuvarla* ubah* ganti* thay sửa άλλαξ* αντικατ* غير استبدل بدل تغییر"
    ),
    "STAKE": (
        "link links account iban bic licence license totals total price prices amount amounts figures numbers balance balances collaborator collaborators maintainer owner permission permissions settings setting password passwords author signature signatures disclaimer disclaimers warning warnings finding findings score scores rating ratings vote votes recipient recipients payee bank invoice invoices supplier certificate certificates authentication auth login evidence result results reviewer audit clause clauses terms contract contracts dose dosage grade grades dependency dependencies version"
        " konto kontonummer summe summen betrag beträge preis* lizenz* link* empfänger* rechnung* klausel* vertrag* račun* znesk* cena cene ceny cenę licenc* povezav* pogodb* compte* montant* prix licence* lien* destinataire* facture* clause* cuenta* importe precio* licencia* enlace* destinatario* factura* cláusula* conto importo importi prezz* licenz* link destinatar* fattur* clausol* conta valor* preço* licença* fatura* destinatári* сч[её]т* сумм* цен* лиценз* ссылк* получател* rekening* bedrag* prijs* konto* kwot* cena cene ceny cenę faktur* účet* účtu částk* račun* iznos* рахун* сум* belopp* beløb* beløp* tili* számla* összeg*  suma sumă hesap* tutar* rekening* jumlah*"
    ),
    "BUY": (
        "buy buys purchase purchases order orders subscribe subscribes book books upgrade renew pay pays donate tip invest trade trades sell sells checkout"
        " kaufe kauf* bestell* bezahl* zahle abonniere kupi* plačaj* naroči* achète* commande* paie* paye* compra* compre paga* pague* reserva acquista* ordina* купи* оплати* закажи* koop* betaal* kup zapłać kupuj* koupi* zaplať* objednej* plati* naruči* купуй* сплати* köp* betala beställ* køb* betal* kjøp* osta* maksa* vásárol* fizess* cumpără* plătește satın öde beli* bayar* mua αγόρασ* πλήρωσ* اشتر ادفع بخر"
    ),
}
