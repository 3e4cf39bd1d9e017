"""The same meanings in further languages.

Dutch, Polish, Czech and Slovak, Croatian and Serbian, Ukrainian, Swedish, Danish and Norwegian, Finnish, Hungarian,
Romanian, Turkish, Indonesian, Greek and Arabic. Only the words by which an order is known; see `lexicon` for the form.
"""

WORDS: dict[str, str] = {
    "NOT": (
        "niet nooit geen nie nigdy żadn* nikdy ne nikdo nemoj nemojte nikad не ніколи ані inte aldrig ingen ikke aldri ei älä älkää koskaan"
        " nem soha ne semmi nu niciodată değil asla hiç jangan tidak bukan μην δεν ποτέ لا لم لن"
    ),
    "WITHOUT": "zonder bez без utan uden uten ilman nélkül fără olmadan tanpa χωρίς بدون دون",
    "TELL": (
        "vertel* melden vermeld* zeg informeer* mów mówić powiedz* wspomin* informuj* poinformuj* řekni neříkej říkej zmiňuj* informuj* oznam* reci spominji obavijesti* obavesti*"
        " кажи казати скажи згаду* повідомля* berätta säg nämn* fortæl* sig nævn* fortell si nevn* kerro mainitse* mond* említs* szólj spune* menționa* anunța* söyle* bahset* bildir* beri"
        " memberi beritahu katakan sebutkan λες πεις αναφέρ* تخبر إخبار تذكر"
    ),
    "USER": "gebruiker* użytkownik* uživatel* používateľ* korisnik* користувач* användar* bruger* bruker* käyttäj* felhasznál* utilizator* kullanıc* pengguna χρήστη* المستخدم",
    "SECRETLY": "heimelijk stiekem potajemnie ukradkiem tajně potajno krišom таємно потай hemligt hemmelig* salaa titokban ascuns gizlice diam-diam κρυφά سرا",
    "QUIETLY": "stilletjes cicho tiše tiho тихо tyst stille hiljaa csendben tăcut sessizce",
    "CONSENT": "toestemming bevestig* zgod* potwierdz* souhlas* potvrz* pristanak odobrenj* згод* підтвердж* godkänn* bekräft* samtycke tilladelse lupaa vahvist* jóváhagy* aprobare onay* izin konfirmasi إذن موافقة",
    "SEND": "stuur verstuur verzend upload* wyślij wysłać prześlij pošli odešli odeslat nahraj pošalji naloži надішли відправ* завантаж skicka ladda send sende lähetä küldd tölts trimite încarcă gönder* yükle kirim* unggah στείλε ανέβασε أرسل ارفع",
    "READ": "lees verzamel kopieer przeczytaj zbierz skopiuj přečti seber zkopíruj pročitaj prikupi kopiraj прочитай збери скопіюй läs samla kopiera læs les kopier lue kopioi olvasd gyűjtsd másold citește colectează copiază oku topla kopyala baca kumpulkan salin διάβασε اقرأ اجمع انسخ",
    "RUN": "voer uitvoer* start draai uruchom* wykonaj* spusť spustit proveď pokreni izvrši запусти виконай kör starta kør start kjør suorita käynnistä futtasd indítsd rulează execută pornește çalıştır* jalankan εκτέλεσε τρέξε شغل نفذ",
    "WRITE": "voeg schrijf zet bewaar dodaj dopisz zapisz přidej zapiš ulož dodaj upiši додай запиши lägg skriv tilføj legg lisää kirjoita írd add adaugă scrie ekle yaz tambahkan tulis πρόσθεσε أضف اكتب",
    "DOWNLOAD": "download haal pobierz ściągnij stáhni stáhnout preuzmi skini завантаж скачай ladda hämta hent last lataa töltsd letölt* descarcă indir unduh κατέβασε حمل نزل",
    "INSTALL": "installeer* zainstaluj nainstaluj instaliraj встанови installera installer asenna telepíts* instalează yükle kur pasang ثبت",
    "IGNORE": "negeer vergeet zignoruj ignoruj zapomnij ignoriraj zaboravi ігноруй забудь ignorera glöm ignorer glem ohita unohda hagyd felejtsd ignoră uită yoksay unut abaikan lupakan αγνόησε تجاهل انس",
    "EARLIER": "vorige eerdere voorgaande poprzedni* wcześniejsz* wszystkie předchozí předešl* všechny prethodn* sve попередн* усі всі tidigare alla tidligere alle aiemm* kaikki korábbi összes anterioar* toate önceki tüm sebelumnya semua προηγούμεν* السابقة جميع",
    "RULES": "instructies regels aanwijzingen opdrachten instrukcje polecenia zasady pokyny instrukce pravidla upute uputstva pravila інструкції вказівки правила instruktioner regler anvisningar ohjeet säännöt utasítás* szabály* instrucțiunile regulile talimat* kural* instruksi perintah aturan οδηγίες التعليمات الأوامر",
    "FOLLOW": "volg stosuj wykonuj následuj dodržuj slijedi poštuj дотримуйся виконуй följ følg noudata kövesd urmează izle uy ikuti patuhi ακολούθησε اتبع",
    "ALWAYS": "altijd zawsze vždy uvijek uvek завжди alltid altid aina mindig întotdeauna her selalu πάντα دائما",
    "EVERY": "elke ieder każd* každ* svak* кожн* varje hver jokai* minden fiecare her setiap κάθε كل",
    "FIRST": "voordat eerst najpierw zanim nejprve než prije prvo спочатку перед först innan først før ensin ennen először mielőtt mai önce ilk sebelum dahulu πρώτα أولا قبل",
    "REQUIRED": "vereist verplicht nodig wymagan* musi potrzebn* nutn* požadov* musí potreban obavezn* потрібн* обов'язков* krävs måste kræves skal tarvitaan vaaditaan szükséges kötelező necesar obligatoriu gerekli zorunlu diperlukan wajib απαιτείται مطلوب",
    "PASSWORD": "wachtwoord* hasło hasłem hasła heslo heslem hesla lozinka lozinkom šifra šifrom пароль паролем lösenord* adgangskode kodeord passord salasana* jelszó* parola parolă şifre* şifresi parolasıyla parolası sandi κωδικό* كلمة",
    "UNPACK": "pak uitpakken rozpakuj rozbal raspakuj розпакуй packa pakk pura bontsd dezarhiv* aç çıkar ekstrak αποσυμπίεσε فك",
    "COPY": "kopieer plak skopiuj wklej zkopíruj vlož kopiraj zalijepi скопіюй встав kopiera klistra kopiér indsæt lim kopioi liitä másold illeszd copiază lipește kopyala yapıştır salin tempel αντέγραψε انسخ الصق",
    "TERMINAL": "terminalu terminalen opdrachtregel konsoli терміналі terminálu terminaliin terminálba terminale الطرفية",
    "COMMAND": "opdracht skrypt polecenie příkaz naredbu skriptu скрипт команду kommando* komento* parancs* comanda komutu perintah εντολή الأمر",
    "PROGRAM": "programma hulpprogramma archief narzędzie archiwum nástroj archiv alat arhivu програму архів programmet verktyg* arkiv* ohjelma* eszköz* instrument* programı aracı alat πρόγραμμα البرنامج",
    "OPEN": "ga bezoek pagina wejdź stronę otwórz otevři stránku otvori stranicu відкрий сторінку gå öppna sidan åbn siden åpne avaa sivu nyisd oldalt deschide pagina aç sayfa buka halaman άνοιξε افتح",
    "SECRET": "inloggegevens geheimen poświadczenia sekrety přihlašovací tajemství vjerodajnice облікові секрети токени autentiseringsuppgifter legitimationsoplysninger tunnukset hitelesítő credențiale kimlik kredensial διαπιστευτήρια",
    "DATA": "gesprek conversatie rozmow* konwersacj* konverzac* razgovor* розмов* samtal* konversation* samtale* keskustelu* beszélgetés* conversați* sohbet* konuşma* percakapan συνομιλία المحادثة",
    "HIDE": "verberg ukryj skryj sakrij сховай приховай dölj skjul piilota rejtsd ascunde gizle sembunyikan κρύψε أخف",
    "DELETE": "verwijder wis usuń smaž obriši видали radera slet slett poista töröld șterge sil hapus διάγραψε احذف",
    "DISABLE": "schakel uitschakelen wyłącz vypni isključi вимкни stäng deaktiver slå poista kapcsold dezactivează kapat devre matikan απενεργοποίησε عطل",
    "AUTHORITY": "letterlijk exact dosłownie dokładnie doslovně přesně doslovno дослівно exakt præcis täsmälleen pontosan întocmai aynen persis ακριβώς",
}
