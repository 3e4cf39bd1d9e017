"""Words for what an instruction can ask of an agent, in eleven languages, by meaning.

A sentence is judged by the meanings that stand near each other (NOT … TELL … USER), so each language needs its words
once and not every way to put them. ``*`` ends a stem. Chinese and Japanese have no blanks between words and Korean joins many; their
pieces are looked for within a run of signs. Words that mean much else as well are left out: a missed word costs less than
one that lights up everywhere.
"""

import enum
import re
from functools import lru_cache

from repo_server.curation.checks import late, lexicon_more, lexicon_wide


class Meaning(enum.IntEnum):
    """What a word is about."""

    NOT = 1
    WITHOUT = 2
    TELL = 3
    SHOW = 4
    USER = 5
    SECRETLY = 6  # nobody uses these words of something that may be known
    QUIETLY = 7  # also said of honest commands
    CONSENT = 8
    SEND = 9
    READ = 10
    RUN = 11
    WRITE = 12
    DOWNLOAD = 13
    INSTALL = 14
    IGNORE = 15
    EARLIER = 16
    RULES = 17
    FOLLOW = 18
    ALWAYS = 19
    REQUIRED = 20
    PASSWORD = 21
    UNPACK = 22
    COPY = 23
    TERMINAL = 24
    COMMAND = 25
    OPEN = 26
    SECRET = 27
    DATA = 28
    HIDE = 29
    KNOW = 30
    DELETE = 31
    AVOID = 32
    LATEST = 33
    AUTHORITY = 34
    DISABLE = 35
    GUARD = 36
    ANSWER = 37
    THIS = 38
    FIRST = 39
    ASK = 40
    DANGER = 41
    EVERY = 42
    PROGRAM = 43
    OTHER_SKILLS = 44
    NEED = 45
    SPEAK = 46  # from here on: meanings that count in company only
    REPORT = 47
    OMIT = 48
    MUST = 49
    WONDER = 50
    LIE = 51
    SELF = 52
    WIN = 53
    VOID = 54
    COUNT = 55
    CHIEF = 56
    MEMORY = 57
    LASTING = 58
    STEER = 59
    RIVAL = 60
    ALTER = 61
    STAKE = 62
    BUY = 63


_M = Meaning
_WORDS: dict[Meaning, str] = {
    _M.NOT: (
        "not don't dont never no cannot can't mustn't shouldn't needn't doesn't isn't won't nor neither nobody nothing"
        " nicht nie niemals kein keine keinen keinem keiner nichts"
        " ne nikoli nikdar ni nobenega nobene nihče pas jamais aucun aucune rien n'en n'est"
        " nunca jamás ningún ninguna nada non mai nessun nessuna niente não nenhum nenhuma jamais"
        " не никогда нельзя ничего никому"
    ),
    _M.WITHOUT: "without ohne brez sans sin senza sem без w/o",
    _M.AVOID: (
        "avoid avoiding refrain omit skip vermeide* unterlass* izogib* évite* éviter évitez evita* evite* omite omita"
        " избега* воздерж*"
    ),
    _M.TELL: (
        "tell telling told mention* inform informing informs notify notifying notifies disclose* disclosing alert alerting"
        " announce announcing acknowledge acknowledging apprise advise mitteil* erwähn* informier* sag sage sagen sagst erzähl* benachrichtig*"
        " verrat* offenleg* meld* omen* omenj* povej povejte povedati obvest* razkri* sporoč* "
        " dis dites dire mentionne* mentionner signale* signaler informe* informer prévien* préven* révèle* révéler avert*"
        " menciona* mencione* decir digas diga dile dígale informar informes informarle avisa* avise* reveles revela* revele*"
        " dire dica dici menziona* menzionare informare informi avvis* rivel* comunica*"
        " dizer diga mencion* avisar conte contar"
        " сообща* сообщи* говори* сказать скажи* упомина* упомяну* уведомл* уведоми* рассказыва* раскрыва* информир*"
    ),
    _M.SHOW: (
        "show showing display displaying reveal revealing surface report reporting expose print explain explaining discuss"
        " describe reference list include zeig* anzeig* pokaz* prikaz* prikaž* pokaž* montre* montrer affiche* afficher"
        " muestr* mostrar mostra* mostre* exib* показыв* покаж* отобража* выводи*"
    ),
    _M.USER: (
        "user users user's human humans person operator owner customer them anyone anybody everyone benutzer* nutzer* anwender*"
        " uporabni* utilisat* usuari* utente utenti usuári* пользовател* человек* юзер* kunde kunden jemand* nekomu nikomur nadie nessuno ninguém"
    ),
    _M.THIS: (
        "this that it these those step steps action behaviour behavior activity process diese* dies das schritt* ta tega to korak*"
        " cela ceci ça étape* esto eso este paso paso* questo passo passaggio isso isto passo etapa это этот этом шаг* действи*"
    ),
    _M.ANSWER: (
        "answer answers answering reply replies replying response responses responding summary output message messages conversation chat"
        " antwort* zusammenfassung ausgabe odgovor* povzet* réponse* résumé respuesta* resumen risposta* riassunto resposta* resumo"
        " ответ* сводк*"
    ),
    _M.SECRETLY: (
        "secretly covertly stealthily surreptitiously clandestinely furtively unnoticed undetected heimlich* unbemerkt unauffällig"
        " skrivaj skrivoma neopazno neopaženo potiho secrètement discrètement furtivement insu secretamente furtivamente ocultas"
        " escondidas disimulad* segretamente nascosto furtivo sorrateir* discretamente тайно тайком незаметно скрытно втайне скрыто"
    ),
    _M.QUIETLY: (
        "silently quietly discreetly invisibly stillschweigend lautlos leise stumm tiho"
        " silencieusement silenciosamente silenziosamente"
        " молча тихо беззвучно"
    ),
    _M.CONSENT: (
        "confirmation confirming confirm confirms approval approve permission consent asking prompting authorization authorisation"
        " bestätig* zustimmung erlaubnis rückfrage* nachfrag* nachzufragen fragen genehmig* potrdit* potrjev* dovoljen* soglas* vprašanj* vpraša*"
        " confirma* confirmer autorisation permission consentement demander confirmación permiso preguntar autoriza* aprobación"
        " conferma permesso consenso chiedere autorizzazione confirmação permissão consentimento perguntar aprovação autorização"
        " подтвержден* разрешен* согласи* спрашива* спроси* одобрен*"
    ),
    _M.ASK: "ask asks prompt request frag frage fragen vprašaj demande demandez pregunta pide chiedi pergunte peça спроси запроси попроси",
    _M.SEND: (
        "send sends sending sent upload uploads uploading post posts posting transmit* forward forwards forwarding submit submitting"
        " exfiltrat* share sync synchronize synchronise deliver relay email mail push pushes beacon ship report phone leak"
        " attach mirror mirrors mirrored goes pass publish deposit bcc"
        " send* schick* sende* übermittel* übertrag* hochlad* lade leite weiterleit* teile"
        " pošlj* posred* naloži naložite odpošlj* prenes* poslati pošilj*"
        " envoie* envoy* transmet* téléverse* publie* poste postez"
        " envía* envia* enviar envíe* envie* sube subir suba* transmit* publica* reenvía* manda*"
        " invia* inviare carica* caricare trasmett* inoltra* spedisc*"
        " envie* enviar carregue transmita publique mande"
        " отправ* отправл* отошли* пересыл* перешли* передай* передава* загрузи* выгрузи* посыла* пошли* шли"
    ),
    _M.READ: (
        "read reads reading collect collects collecting gather gathers gathering copy copies copying harvest* extract extracts extracting"
        " grab capture captures locate find search scan look open cat retrieve dump list load take pick"
        " lies lese* sammle* sammel* suche suchen durchsuch* kopier* öffne* ermittle* auslesen"
        " preber* zber* kopir* poišč* odpri branje"
        " lis lisez lire collecte* récupère* récupérer récupérez cherche* copie* ouvre* recueill*"
        " lee leer lea recoge* recopil* busca* copia* obtén obtener extrae*"
        " leggi leggere raccogli* cerca* copia* recupera*"
        " leia ler colete* coletar recolha procure copie* obtenha"
        " прочита* прочти* читай* собери* собира* скопируй* найди* открой* извлек* считай*"
    ),
    _M.RUN: (
        "run runs running execute executes executing launch launches start starts invoke eval evaluate double-click"
        " führ* ausführ* ausgeführt starte* start*"
        " zaženi* poženi* izvedi* izvrši* zagon* izvaja*"
        " exécute* exécut* lance* lancer lancez démarre*"
        " ejecut* ejecút* corre lanza* inicia*"
        " esegui* eseguire eseguilo avvia* lancia*"
        " execute* executar rode rodar inicie"
        " запуст* запуска* выполн* исполн*"
    ),
    _M.WRITE: (
        "write writes writing append appends appending add adds adding insert inserts save saves store edit modify modifies update overwrite"
        " inject prepend persist copy place put create register install"
        " schreib* füge* hinzufüg* hänge* speicher* trag* änder* ergänz*"
        " zapiš* dodaj* shrani* vstavi* spremeni* dopiš*"
        " écri* ajoute* ajouter enregistre* insère* modifie*"
        " escrib* añad* agreg* guarda* inserta* modifica*"
        " scrivi* aggiung* salva* inserisci* modifica*"
        " escreva adicion* acrescent* salve guarde insira modifique grave"
        " запиш* добав* сохрани* встав* допиш* измен*"
    ),
    _M.DOWNLOAD: (
        "download downloads downloading downloaded fetch grab obtain get retrieve"
        " herunterlad* herunter lade laden download* besorg*"
        " prenes* prenesi* naloži* snemi* prenos*"
        " télécharge* récupère* récupérez"
        " descarg* baja bájate obtén"
        " scarica* scaric* scarico"
        " baixe baixar descarreg* baixa"
        " скача* загруз* скачива*"
    ),
    _M.INSTALL: (
        "install installs installing installed installer setup set-up installier* instalier* namesti* namestit* instalir* installe* installer"
        " instala* instale* installa* установ* поставь* инсталл*"
    ),
    _M.IGNORE: (
        "ignore ignores ignoring disregard disregarding forget override overrides overriding bypass supersede supersedes discard"
        " ignorier* missacht* vergiss* übergeh* verwirf überschreib* prezri* ignorir* pozabi* zanemari*"
        " ignore* ignorez oublie* oubliez néglige* ignora* olvida* olvide* descarta* ignori* dimentica* scarta* esqueça* desconsider* desrespeit*"
        " игнорир* забудь* пренебре* отбрось* проигнорир*"
    ),
    _M.EARLIER: (
        "previous prior above earlier preceding existing system original all other former foregoing initial"
        " vorherig* bisherig* vorig* obig* früher* alle sämtlich* prejšn* zgornj* dosedanj* vsa vse sistemsk*"
        " précédent* antérieur* ci-dessus toutes tous système anterior* previ* todas todos sistema precedent* tutte tutti"
        " предыдущ* прежн* выше* прошл* все всё систем*"
    ),
    _M.RULES: (
        "instructions instruction rules rule guidelines directives prompt prompts constraints policies policy guardrails restrictions safeguards training"
        " anweisung* regel* vorgab* richtlini* beschränkung* navodil* pravil* omejit* ukaz* consigne* règle* instruction* directive*"
        " instruccion* regla* directri* restriccion* istruzion* regol* direttiv* instruç* regra* diretri* restriç* orientaç*"
        " инструкц* правил* указани* ограничен* директив*"
    ),
    _M.FOLLOW: (
        "follow follows following obey comply apply adhere execute perform act carry treat"
        " befolg* folge* gehorch* sledi* upoštev* ravnaj* suis suivez suivre applique* obéi* sigue* seguir sigu* aplica* obedec*"
        " segui* seguire applica* obbedis* siga* siga seguir aplique obedeça следуй* выполняй* соблюда* подчиня*"
    ),
    _M.ALWAYS: (
        "always immer stets jedes jedesmal vedno zmeraj toujours systématiquement siempre sempre всегда постоянно"
    ),
    _M.EVERY: "every each any jeder jede jedem jeden vsak vsakič vsakim vsako chaque cada ogni каждый каждым каждого каждой каждое",
    _M.FIRST: (
        "before first beforehand initially bevor zuerst vorher zunächst prej najprej preden avant d'abord antes primero prima anzitutto"
        " primeiro перед сначала прежде"
    ),
    _M.REQUIRED: (
        "required requires require must mandatory prerequisite prerequisites necessary essential need needs needed"
        " erforderlich* notwendig* voraussetzung* muss müssen benötig* zwingend obvez* potreb* mora* nujno pogoj* zahteva*"
        " requis* obligatoire* nécessaire* prérequis doit devez faut requer* obligatori* necesari* debe* prerrequisit* requisit*"
        " necessari* deve devi bisogna obrigatóri* necessári* precisa* pré-requisit*"
        " необходим* обязательн* требует* нужно нужен должен должна требован*"
    ),
    _M.PASSWORD: "password passwort kennwort passphrase geslo geslom gesla passe mot-de-passe contraseña* clave senha password* пароль паролем пароля",
    _M.UNPACK: (
        "extract extracts unzip unpack decompress unarchive open entpack* extrahier* öffne* razširi* razpakir* odpakir* décompresse* extrai* extraire dézippe*"
        " descomprim* extrae* estra* decomprim* scompatta* descompact* extraia распак* разархивир* извлек*"
    ),
    _M.COPY: (
        "copy copies paste pastes pasting kopier* einfüg* füge prilepi* kopiraj* skopiraj* colle* collez copie* copiez pega* pegar copia* copie* incolla*"
        " cole colar скопир* вставь* вставить копир*"
    ),
    _M.TERMINAL: (
        "terminal terminals shell console powershell bash cmd konsole eingabeaufforderung kommandozeile terminalu konzol* lupin*"
        " consola terminale терминал* консол*"
    ),
    _M.COMMAND: (
        "command commands one-liner oneliner script snippet code line befehl* skript* zeile ukaz* skript* vrstic* commande* ligne* comando* línea* riga"
        " linha команд* скрипт* строк*"
    ),
    _M.PROGRAM: (
        "program programme app application tool utility helper agent client driver binary executable archive package"
        " programm* werkzeug* anwendung* archiv* hilfsprogramm* orodj* aplikacij* arhiv* pripomoč* outil* logiciel* application* archive* utilitaire*"
        " programa* herramienta* aplicación* archivo* utilidad* strumento* applicazion* archivio* utilità ferramenta* aplicativo arquivo* utilitári*"
        " программ* утилит* приложени* архив*"
    ),
    _M.OPEN: (
        "open opens opening visit go navigate abrir ouvrir öffnen odpreti открыть acceder entrar browse browser page website link öffne* besuch* geh* seite odpri* obišči* pojdi* stran* ouvre* ouvrez visite* allez page"
        " abre* abra* visita* ve vaya página apri* aprire vai visita pagina abra acesse visite página откр* зайди* перейди* посети* страниц*"
    ),
    _M.SECRET: (
        "credentials credential secrets secret token tokens password passwords passphrase cookie cookies apikey keys mnemonic seed"
        " private-key keychain wallet wallets keystore"
        " zugangsdaten anmeldedaten passwörter geheimnisse schlüssel* poverilnic* gesla žeton* skrivnost* ključ* identifiants secrets jetons clés"
        " credenciales secretos contraseñas claves credenziali segreti chiavi credenciais segredos senhas chaves"
        " учётные учетные пароли токен* секрет* ключи ключей куки"
    ),
    _M.DATA: (
        "conversation conversations transcript history chat chats clipboard environment memory memories session sessions prompts"
        " gesprächsverlauf* verlauf unterhaltung* zwischenablage umgebungsvariablen gespräch* pogovor* zgodovin* odložišč* okoljsk*"
        " historique conversation* presse-papiers historial conversación conversacion* portapapeles cronologia conversazion* appunti"
        " histórico conversa conversas переписк* истори* диалог* буфер* окружени* разговор* беседы"
    ),
    _M.HIDE: (
        "hide hides hiding conceal conceals concealing hidden invisible unaware verberg* versteck* verheimlich* verschweig* skrij* skriti prikrij* zamolč*"
        " cachez cacher dissimule* dissimuler masque* oculta* esconde* esconda* oculte* nascondi* nascondere cela esconder скры* спрячь* прячь* утаи*"
    ),
    _M.KNOW: (
        "know knows notice notices aware see sees learn realise realize suspect wissen weiß merk* bemerk* erfahr* ve vedeti izve opazi* sait savoir sache* remarque*"
        " sepa saber note* entere sappia sapere accorga noti saiba perceba узна* знать замети* знал* заподозр*"
    ),
    _M.DELETE: "delete deletes remove erase wipe clear lösch* entfern* izbriš* odstrani* pobriš* supprime* efface* borra* elimina* cancella* rimuovi* apague exclua remova удал* сотри* очист*",
    _M.LATEST: "latest current newest up-to-date live fresh updated aktuell* neueste* najnovejš* trenutn* dernière* dernier* actuel* última* últimas actual* aggiornat* ultime attual* atual* atualizad* последн* актуальн* свеж* текущ*",
    _M.AUTHORITY: (
        "authoritative override overrides overriding precedence supersede supersedes exactly verbatim mandatory unconditionally literally binding blindly"
        " maßgeblich* verbindlich* exakt genau vorrang točno dobesedno zavezujoč* natančno exactement prioritaire* lettre exactamente prioridad letra"
        " esattamente lettera priorità exatamente prioridade точно дословно приоритет* безусловно беспрекословно"
    ),
    _M.DISABLE: (
        "disable disables disabling deactivate turn switch stop bypass exclude deaktivier* ausschalt* schalte* onemogoč* izklop* ugasni* désactive* desactiv* desactiva*"
        " disattiva* disabilita* desative* desabilite* отключ* выключ* деактивир*"
    ),
    _M.GUARD: (
        "antivirus anti-virus defender gatekeeper firewall selinux apparmor sip edr smartscreen quarantine xprotect virenscanner virenschutz protivirusn* pare-feu"
        " cortafuegos антивирус* брандмауэр* защитник* sandbox"
    ),
    _M.DANGER: (
        "dangerous danger malicious attack attacks attacker attackers injection injections suspicious vulnerability vulnerabilities"
        " red-flag red-flags flag flags threat threats exploit exploits phishing unsafe insecure anti-pattern anti-patterns antipattern antipatterns"
        " detect detects detection jailbreak bad wrong forbidden prohibited blocked denied reject malware risky adversarial hostile"
        " gefährlich* angriff* angreif* bösartig* verdächtig* nevar* napad* zlonamer* sumljiv* dangereu* malveillant* attaque* suspect*"
        " peligros* malicios* ataque* sospechos* pericolos* malevol* attacc* sospett* perigos* suspeit* опасн* вредоносн* атак* подозрительн* злоумышл*"
    ),
    _M.NEED: "need reason",
    _M.OTHER_SKILLS: "skills",
}

# Pieces of Chinese, Japanese and Korean writing.
_PIECES: dict[Meaning, str] = {
    _M.NOT: "不要 不得 请勿 請勿 切勿 勿 别 別 不必 无需 無需 不用 不能 禁止 绝不 ないで しない せず 不可 ません ないこと てはいけ てはなら 必要はな 마세요 마라 말고 않도록 않고 금지 됩니다 필요는",
    _M.WITHOUT: "不经 未经 無須 なしに なしで 得ずに ずに 没有 없이",
    _M.TELL: "告诉 告訴 提及 提到 通知 告知 说明 透露 汇报 言及 伝え 知らせ 報告 話さ 教え 言わ 触れ 알리 알려 말하 언급 보고하",
    _M.SHOW: "显示 顯示 展示 表示 見せ 披露 보여 표시",
    _M.USER: "用户 用戶 使用者 ユーザー ユーザ 利用者 本人 任何人 他们 사용자 이용자",
    _M.SECRETLY: "偷偷 悄悄 秘密地 暗中 私下 こっそり 密かに ひそかに 秘密裏 内緒 気づかれ 気付かれ 不被察觉 不知情 몰래 비밀리에 은밀",
    _M.QUIETLY: "静默地 默默 静かに 黙って 조용히",
    _M.CONSENT: "确认 確認 同意 许可 許可 询问 詢問 批准 征求 尋ね 聞か 承認 承諾 확인 승인 동의 허락 묻지",
    _M.SEND: "发送 發送 上传 上傳 提交 传送 傳送 发到 发给 传到 推送 转发 送信 アップロード 送っ 送る 投稿 転送 送り 보내 전송 업로드 올려 전달",
    _M.READ: "读取 讀取 收集 搜集 复制 複製 查找 获取 提取 读出 扫描 読み取 読み込 読ん 収集 集め コピー 取得 探し 抽出 検索 읽어 읽고 수집 복사 찾아",
    _M.RUN: "运行 執行 执行 运作 启动 啟動 実行 起動 走らせ 실행 시작",
    _M.WRITE: "写入 寫入 添加 追加 保存 写到 插入 修改 書き込 記録 書き加 書い 추가 기록 저장 덧붙",
    _M.DOWNLOAD: "下载 下載 ダウンロード 다운로드 내려받",
    _M.INSTALL: "安装 安裝 インストール 설치",
    _M.IGNORE: "忽略 无视 無視 忘记 忘掉 忘れ 覆盖 跳过 무시 잊어",
    _M.EARLIER: "之前 先前 以前 上述 以上 前面 所有 系统 これまで 上記 すべて 全て システム 既存 前の 이전 앞의 모든 기존 시스템",
    _M.RULES: "指令 指示 规则 規則 说明书 提示词 限制 约束 ルール 命令文 プロンプト 制約 ガイドライン 지시 지침 규칙 명령어 프롬프트",
    _M.FOLLOW: "遵循 按照 照做 遵守 依照 従っ 従う 従い 沿って 따르 따라",
    _M.ALWAYS: "总是 始终 一直 始終 永远 常に 必ず いつも 항상 언제나",
    _M.EVERY: "每次 每个 每一 每当 毎回 各 都度 매번 마다",
    _M.FIRST: "之前先 首先 先要 前に まず 最初に 事前に 前必须 먼저 전에",
    _M.REQUIRED: "必须 必須 必需 需要 前提 要求 必要 でなければ 반드시 필요 필수",
    _M.PASSWORD: "密码 密碼 口令 パスワード 暗証 비밀번호 암호",
    _M.UNPACK: "解压 解壓 解凍 展開 解压缩 압축을 압축 해제",
    _M.COPY: "复制 複製 粘贴 貼上 贴到 コピー 貼り付け ペースト 복사 붙여",
    _M.TERMINAL: "终端 終端 命令行 控制台 ターミナル 端末 コマンドプロンプト シェル 터미널 명령창",
    _M.COMMAND: "命令 脚本 代码 コマンド スクリプト コード 명령 스크립트 코드",
    _M.PROGRAM: "程序 工具 软件 应用 压缩包 ツール アプリ プログラム アーカイブ ソフト",
    _M.OPEN: "打开 打開 访问 訪問 页面 网页 開い 開く 開き アクセス ページ 열어 열고 접속 페이지 방문",
    _M.SECRET: "凭据 凭证 憑證 令牌 密钥 私钥 助记词 密码 口令 认证信息 認証情報 トークン 秘密鍵 シークレット パスワード クッキー 비밀번호 토큰 자격 증명 개인키",
    _M.DATA: "对话 對話 聊天记录 会话 历史记录 剪贴板 环境变量 会話 履歴 クリップボード 環境変数 チャット 대화 클립보드 환경 변수 기록",
    _M.HIDE: "隐藏 隱藏 隐瞒 掩盖 保密 隠し 隠す 隠して 伏せ",
    _M.KNOW: "知道 知晓 察觉 发现 注意到 知られ 気づ 気付",
    _M.ANSWER: "回答 回复 答复 回覆 返答 応答 摘要 要約 答え",
    _M.THIS: "这个 这一 此步 该步 此事 这件 本步骤 このこと この手順 これを この処理 その",
    _M.LATEST: "最新 当前 現在の",
    _M.AUTHORITY: "严格 完全 逐字 优先 権威 厳密 優先 そのまま 正確に",
    _M.DISABLE: "关闭 禁用 停用 無効 オフに 停止",
    _M.GUARD: "杀毒 防火墙 防病毒 ウイルス対策 ファイアウォール ディフェンダー",
    _M.DANGER: "危险 危險 恶意 攻击 可疑 危険 攻撃 悪意 不審",
    _M.DELETE: "删除 刪除 清除 削除 消去 삭제 지워",
    _M.ASK: "询问 要求用户 让用户 求め 물어 요청",
}


def _build() -> tuple[dict[str, frozenset[Meaning]], dict[str, frozenset[Meaning]], int, int]:
    exact: dict[str, set[Meaning]] = {}
    stems: dict[str, set[Meaning]] = {}
    tables = (lexicon_more.WORDS, lexicon_wide.WORDS, lexicon_wide.FURTHER)
    further = [(Meaning[name], words) for table in tables for name, words in table.items()]
    for meaning, words in [*_WORDS.items(), *further]:
        for word in words.split():
            (stems if word.endswith("*") else exact).setdefault(word.rstrip("*"), set()).add(meaning)
    # A word of the first table is meant as it stands there; later ones also keep the meanings of their stems.
    plain = {word for words in _WORDS.values() for word in words.split()}
    for word in exact.keys() - plain:
        for length in range(2, len(word) + 1):
            exact[word] |= stems.get(word[:length], set())
    lengths = [len(stem) for stem in stems]
    return (
        {word: frozenset(meanings) for word, meanings in exact.items()},
        {stem: frozenset(meanings) for stem, meanings in stems.items()},
        min(lengths),
        max(lengths),
    )


_EXACT, _STEMS, _SHORTEST, _LONGEST = _build()
_BY_PIECE: dict[str, frozenset[Meaning]] = {}
for _meaning, _pieces in _PIECES.items():
    for _piece in _pieces.split():
        _BY_PIECE[_piece] = _BY_PIECE.get(_piece, frozenset()) | {_meaning}
PIECE = late.pattern("|".join(sorted(map(re.escape, _BY_PIECE), key=len, reverse=True)))
_NOTHING: frozenset[Meaning] = frozenset()


@lru_cache(maxsize=50_000)
def meanings_of(word: str) -> frozenset[Meaning]:
    """Return what ``word`` (lower case) can be about."""
    word = word.replace("’", "'")
    if found := _EXACT.get(word):
        return found
    meanings = _NOTHING
    for length in range(min(_LONGEST, len(word)), _SHORTEST - 1, -1):
        meanings |= _STEMS.get(word[:length], _NOTHING)
    return meanings


def meanings_of_piece(piece: str) -> frozenset[Meaning]:
    """Return what a piece of Chinese, Japanese or Korean writing, found by `PIECE`, is about."""
    return _BY_PIECE[piece]
