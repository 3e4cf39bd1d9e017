"""Functions of Python and of its well-known packages, by what they do; names are dotted, ``x()`` is what a call of x returns."""

import re

from repo_server.curation.checks import late
from repo_server.curation.checks.secrets import STRONG

LONGEST = 160
_NET = r"(?:requests|httpx|aiohttp|urllib3?|http|httplib2?|pycurl|treq|websockets?|ftplib|paramiko|boto3|dns|smbclient|niquests|curl_cffi|grequests|cloudscraper|wget|gdown|huggingface_hub|socket|ssl|asyncio|telnetlib|imaplib|poplib)"
FETCHES = late.pattern(
    rf"^{_NET}\b[\w.()\[\]]*\.(?:get|post|put|request|stream|urlopen|fetch|recv\w*|resolve|query|retr\w+|download\w*|open_connection|getresponse|read|send|receive|connect)$"
    r"|(?:^|\.)(?:urlopen|urlretrieve|getresponse|recv|recvfrom|fetch_url|hf_hub_download|snapshot_download|read_until|retrbinary)$|^wget\.download$|^gdown\.download$"
)
DECODES = late.pattern(
    r"(?:^|\.)(?:\w{0,20}b(?:16|32|64|85)decode|a85decode|decodebytes|unhexlify|fromhex|a2b_\w+|decompress|decrypt|rot13|translate|unpackb)$|^codecs\.decode$|^marshal\.loads$"
)
SECRETS = late.pattern(
    r"^browser_cookie3\.|^keyring\.(?:get_password|get_credential)$|^win32crypt\.|^secretstorage\.|^os\.environ\.(?:items|copy|values)$|^os\.environb|^pyperclip\.paste$|^pyautogui\.screenshot$|^PIL\.ImageGrab\.grab|^ImageGrab\.grab|^mss\.|^sounddevice\.rec"
)
RUNS_TEXT = late.pattern(
    r"^(?:exec|eval|execfile)$|^os\.(?:system|popen\w?)$|^subprocess\.(?:getoutput|getstatusoutput)$|^asyncio\.create_subprocess_shell$|^pty\.spawn$|^code\.(?:interact|InteractiveInterpreter\(\)\.runsource)$|^runpy\.run_path$|^types\.FunctionType$|^ctypes\.(?:cast|CFUNCTYPE\(\)|memmove)$|^commands\.getoutput$|^platform\.popen$"
)
LOADS_CODE = late.pattern(
    r"^(?:pickle|cPickle|_pickle|dill|cloudpickle|joblib|marshal|shelve|jsonpickle)\.(?:loads?|decode|open|Unpickler)$|^yaml\.(?:unsafe_load|full_load)\w*$|^pandas\.read_pickle$|^pd\.read_pickle$|^ctypes\.(?:CDLL|cdll\.LoadLibrary|create_string_buffer|WinDLL)$|^importlib\.\w*loader|^zipimport\.|\.exec_module$"
)
LOADS_FILE = late.pattern(
    r"^importlib\.(?:util\.spec_from_file_location|machinery\.\w+|import_module|reload)$|^runpy\.run_(?:path|module)$|^imp\.load_\w+$|^sys\.path\.(?:insert|append|extend)$|^site\.addsitedir$|^os\.startfile$|^execfile$"
)
RUNS_PROGRAM = late.pattern(
    r"^subprocess\.(?:run|call|check_call|check_output|Popen|getoutput|getstatusoutput)$|^os\.(?:system|popen\w?|exec[lv]p?e?|spawn[lv]p?e?|posix_spawnp?|startfile)$|^asyncio\.create_subprocess_(?:exec|shell)$|^pty\.spawn$|^sh\.\w+$|^plumbum\.|^pexpect\.(?:spawn|run)$|^invoke\.run$|^shell\.run$"
)
INTERPRETER = late.pattern(
    r"^(?:sudo\s+)?(?:/[\w./]*/)?(?:(?:ba|z|da|k|fi|c|tc)?sh|python[0-9.]*|perl|ruby|node|deno|bun|php|pwsh|powershell(?:\.exe)?|osascript|cmd(?:\.exe)?|lua|Rscript|java|chmod|open|start|wscript|cscript|rundll32|env)(?=\s|$)"
)
FETCHING_PROGRAM = late.pattern(
    r"\b(?:curl|wget|aria2c|nc|ncat|dig|nslookup|ssh|scp|gsutil|aws s3|gh api|iwr|irm)\b"
)
FEEDING = frozenset({"communicate", "write", "sendline", "send"})
READING = frozenset({"read_text", "read_bytes", "open", "read", "iterdir", "glob", "rglob"})
SENDS = late.pattern(
    rf"^{_NET}\b[\w.()]*\.(?:post|put|patch|send\w*|storbinary|storlines|upload\w*|write|request|put_object|putfo)$|(?:^|\.)(?:urlopen|Request|sendmail|send_message|upload_file|upload_fileobj|put_object|gethostbyname|getaddrinfo|urlretrieve|sendall|sendto|webbrowser\.open)$|^telegram\.|^discord\.|^slack_sdk\."
)
SENDING = frozenset(
    {
        "sendall",
        "sendto",
        "sendmail",
        "send_message",
        "storbinary",
        "upload_file",
        "upload_fileobj",
        "put_object",
    }
)
ASKS = late.pattern(rf"^{_NET}\b[\w.()]*\.(?:get|head|request|delete|options|resolve|query)$")
WRITING = frozenset({"write", "write_text", "write_bytes", "writelines", "extractall", "add", "writestr"})
COPIES = frozenset(
    {
        "shutil.copyfileobj",
        "shutil.copy",
        "shutil.copyfile",
        "shutil.move",
        "shutil.copy2",
        "os.rename",
        "os.replace",
    }
)
POWERFUL = frozenset(
    {
        "os",
        "subprocess",
        "builtins",
        "__builtins__",
        "importlib",
        "ctypes",
        "pty",
        "sys.modules",
        "__import__()",
    }
)
UPLOADS = late.pattern(r"\.(?:upload\w*|put|putfo|put_object|storbinary|storlines)$")
LISTING = frozenset({"iterdir", "glob", "rglob"})
DESTROYS = late.pattern(
    r"^(?:shutil\.rmtree|os\.(?:remove|unlink|rmdir|removedirs|truncate)|send2trash\.send2trash|send2trash)$"
)
DESTROYING = frozenset({"unlink", "rmdir", "write_text", "write_bytes", "remove_p", "rmtree"})
CLEANING = frozenset(
    {
        "len",
        "int",
        "float",
        "bool",
        "isinstance",
        "hash",
        "sum",
        "print",
        "range",
        "type",
        "id",
        "round",
        "enumerate.__len__",
    }
)
CLEANING_METHODS = frozenset(
    {
        "hexdigest",
        "exists",
        "is_file",
        "is_dir",
        "isfile",
        "isdir",
        "stat",
        "getsize",
        "count",
        "startswith",
        "endswith",
        "index",
        "find",
    }
)
NUMBERS = frozenset(
    {
        "status_code",
        "ok",
        "reason",
        "returncode",
        "status",
        "elapsed",
        "encoding",
        "suffix",
        "name",
        "stem",
        "pid",
    }
)
WRITING_MODE = late.pattern(r"[wax+]")
LOCAL = late.pattern(
    r"^(?:\w+://)?(?:localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0|host\.docker\.internal|192\.168\.|10\.)"
)
NO_PROGRAM = late.pattern(
    r"\.(?:md|txt|png|jpe?g|gif|svg|ico|dat|bin|csv|tsv|json|html|css|woff2?|ttf|pdf|webp|log|yaml|yml|ini|cfg|wav|mp3)$",
    re.IGNORECASE,
)
SECRET_PLACE = late.pattern(rf"{STRONG}|/etc/passwd", re.IGNORECASE)
_BROAD = late.pattern(
    r"^(?:~|/|/(?:home|users|root|etc|usr|var|mnt|media|srv|opt|boot)|[a-z]:[\\/]?)"
    r"(?:/(?:documents|desktop|pictures|downloads|photos|music|movies|videos|projects|library|dropbox|onedrive|work|src|code|repos))?"
    r"(?:/?\*{1,2})*(?:/?\*\.(?:\*|docx?|xlsx?|pptx?|pdf|md|txt|jpe?g|png|odt|csv|zip|py|js|db|sqlite|key|pem))?/?$",
    re.IGNORECASE,
)


def is_broad(path: str) -> bool:
    """Return whether ``path`` is the home folder or one of the system's, one of the usual folders in it, or everything there."""
    return bool(path) and bool(_BROAD.match(path))
