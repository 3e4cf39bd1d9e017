"""Why each check matters, and what to do about what it found.

    rule_of("exfiltration.secret")  ->  Rule(check=…, title=…, severity=Severity.BLOCK, why=…, fix=…)

There is a rule for every identifier that a check can emit, and for everything that comparing with the last release can
show, so that a page or a SARIF file can explain each finding. What only varies in its cause (``*.too-many``, and the
families of sources and engines) has one rule by family.
"""

from dataclasses import dataclass

from signing.format.finding import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One kind of finding. ``severity`` is the usual one; a finding of it can weigh less, or more."""

    check: str
    title: str
    severity: Severity
    why: str
    fix: str


_WAIVE = "If it is meant, waive it with the reason."
_SAY = "If it is meant, say so in the reason of your decision."
# check | usual severity | title | why it matters | how to fix it
_TABLE = """
structure.nested-archive | block | Archive inside the skill | What is packed inside is reviewed by nobody and unpacked at run time. | Ship the files themselves.
structure.huge-text | block | Text too large to read | Nobody reads it, and the checks look at its beginning only. | Split it, or leave data out.
structure.much-text | look | More text than anybody reads | What was not examined can hold anything, and the diff is cut. | Leave data out of the skill.
structure.not-utf8 | block | Text in another encoding | Readers see different things in the same bytes, so a review of one reading says little of another. | Convert it to UTF-8; keep pictures and data in assets/.
structure.binary | look | Binary file | No diff shows what changes in it. | Open it with its own program; remove it if it is not needed.
structure.ignore-file | block | Ignore file | Scanners that honour it skip what agents still read. | Remove it.
structure.dot-file | look | Hidden file or folder | Most listings leave it out, agents do not. | Remove it, or rename it without the dot.
structure.long-line | look | Very long line | What stands far to the right is easily missed. | Wrap it.
structure.pushed-away | look | Text behind many blank lines | It stands below the end of what a reader thinks is the page. | Remove the blank lines.
structure.long-skill | note | SKILL.md is long | Over 500 lines or 100 kB agents drop parts of it. | Move detail into references/.
structure.many-references | look | Too many references to look up | The rest was not compared with the files. | Shorten it.
structure.outside-reference | look | Points outside the skill | The agent would read a file that was never reviewed. | Ship the file inside the skill.
structure.missing-reference | note | Names a file that is not there | Whoever creates it later is obeyed. | Add the file or remove the mention.
structure.unreferenced | note | File that SKILL.md does not lead to | A file without a purpose is where a payload waits. | Mention it, or remove it.
structure.deep-reference | note | Reference more than one level deep | Agents read such files in part or not at all, and so do reviewers. | Keep references/ flat.
unicode.tags | block | Text in invisible tag characters | Agents read these letters, people do not see them. | Remove them.
unicode.selectors | block | Variation selectors that select nothing | A run of them carries hidden bytes. | Remove them.
unicode.bidi | block | Bidirectional controls | The text is shown in another order than it is read. | Remove them.
unicode.joiner | block | Zero-width joiner outside emoji | It splits a word that a filter looks for. | Remove it.
unicode.hidden | block | Characters that are not drawn | They hide text or split words. | Remove them.
unicode.control | look | Control characters | They can rewrite the screen of whoever looks at the file. | Remove them.
unicode.bom | look | Byte order mark | Some readers see no front matter behind it. | Remove it.
unicode.mixed-script | look | Word of mixed alphabets | It looks like another word. | Write it in one alphabet.
executables.compiled | block | Compiled code | It cannot be reviewed here and runs whatever its name is. | Ship the program as source, or name a package with its version and digest.
executables.compiled-name | look | Name of compiled code | Something may load it by its name. | Rename or remove it.
executables.macros | block | Office document with macros | A macro is a program that starts when the document is opened. | Save it without macros.
executables.polyglot | block | File that is two things | A viewer sees a picture, a loader a program or an archive. | Save the picture again without what follows it.
executables.mode | look | Executable outside scripts/ | Reviewers look for programs in scripts/. | Move it, or clear the mode bit.
executables.script | note | Script | It is to be read as a program. | Read it.
executables.script-elsewhere | look | Script outside scripts/ | Reviewers look for programs in scripts/. | Move it, or remove its first line.
hosts.listed | note | Host | Data can go there and instructions can come from there. | Compare the list with what the skill is for.
hosts.odd | look | Odd host | Nobody can tell whose it is, or it hides where it leads. | Write the real name of a host that belongs to the service.
hosts.userinfo | look | Address with text before an @ | These are credentials, or a disguise of the real host. | Remove what stands before the @.
hosts.too-many-hosts | block | More hosts than can be listed | What is not listed is not reviewed. | Leave data out.
remote-execution.fetch-to-shell | block | Runs what it fetches | What runs is whatever the other side gives at that moment, not what was reviewed. | Ship the program as source, or name a package with its version and digest.
remote-execution.fetch-then-run | block | Makes a download executable | What runs is whatever the other side gives at that moment, not what was reviewed. | Ship the program as source, or name a package with its version and digest.
remote-execution.fetch-then-exec | look | Executes text after fetching some | It may be that text. | Find out where the executed text comes from.
remote-execution.decode-to-shell | block | Runs what it decodes | Nobody reads it before it runs. | Write it in plain text.
remote-execution.decode-then-run | block | Decodes a file and runs it | Nobody reads it before it runs. | Write it in plain text.
acquisition.archive-password | block | Archive with a given password | The password keeps scanners out and nobody else. | Ship the program as source, or name a package with its version and digest.
acquisition.page-paste | block | Command taken from a page | The page can say something else by the time it is obeyed. | Write the command here.
acquisition.download-and-run | block | Program to be downloaded and started | A prerequisite that nobody reviewed is the usual way in for malware. | Ship the program as source, or name a package with its version and digest.
acquisition.fetch-and-run | block | Script to be fetched and run | What runs is whatever the other side gives at that moment. | Ship the program as source, or name a package with its version and digest.
acquisition.guards-off | block | Protection switched off | Gatekeeper, Defender and their like exist to stop exactly such programs. | Remove it; a sound program does not need it.
acquisition.fetching-program | block | System program that fetches and runs | It starts something directly from an address. | Ship the program as source, or name a package with its version and digest.
acquisition.redirects | block | Traffic led elsewhere | Whoever stands there reads every prompt, and the keys with it. | Leave addresses of services and proxies to the user.
acquisition.other-index | block | Packages from another index | There a known name can be any program. | Use the usual index, or pin the commit or digest.
exfiltration.secret | block | A secret and a way out | Where secrets lie is read, and something is sent elsewhere. | Say it in the description, where users see it, or remove it.
exfiltration.secret-place | look | Names a place of secrets | The skill may read what it has no business with. | Find out what it is for.
exfiltration.foreign-key | block | Key sent to another service | A key that goes elsewhere than to its own service is stolen. | Send it to its own service only.
exfiltration.key-in-body | note | Key in an address or body | Addresses are logged on the way. | Use a header.
exfiltration.catcher | block | Sends to a catcher | It hands data to whoever opened it (request bin, paste, tunnel, bare address). | Use a host that belongs to the service.
exfiltration.dns | block | Data in a name that is looked up | It leaves by DNS, past every proxy. | Remove it.
exfiltration.chat-hook | block | Working chat web-hook | Whatever is sent there is read by its owner. | Let users configure their own.
exfiltration.told | block | Told to send talk or secrets | Conversations, environments and credentials belong to the user. | Say it in the description, where users see it, or remove it.
exfiltration.picture | block | Picture with data in its address | It is loaded when shown, and carries the data away without a click. | Ship the picture.
exfiltration.link | note | Link with data in its address | The data leaves when the link is followed. | Leave out the placeholder.
orders.conceals | block | Order to be silent | The user is not to learn of something that stands near it. | Remove the order; let the user see everything.
orders.skips-consent | look | Consent skipped | The agent is told not to ask. | Keep the question where it matters.
orders.overrides | block | Earlier instructions set aside | A skill does not stand above the user or the system. | Remove it.
orders.impersonates | look | Message of the system imitated | Agents may take it for one. | Write it as ordinary text.
orders.remote-instructions | look | Instructions fetched at run time | They can change after the review. | Ship them with the skill.
orders.asks-secret | look | Asks the user for a secret | An agent has no business with passwords, codes and seed phrases. | Let the program that needs it ask for it.
orders.remembers | block | To be remembered for good | What stands in a memory or starts with the machine holds long after the task. | Leave it to the user, or say so in the description.
orders.steers | block | Advice or figures turned to somebody's advantage | The user decides by what is not so, or pays somebody else. | Say who gains by it, and show figures as they are.
orders.waits | block | Done when nobody looks | A condition of place or hour keeps it from whoever tries the skill out. | Do it always, or not at all.
deeds.sends-off | look | Sends what belongs to the user elsewhere | The description does not speak of the address. | Say it in the description, where users see it, or remove it.
deeds.tampers | block | Fixed account or wallet address | It takes the place of the one the user meant. | Remove it.
deeds.destroys | block | Deletes at a set time or unsaid | The user would not agree. | Ask first, and say what is deleted.
deeds.weakens | block | Weakens protection unsaid | The user's programs become attackable. | Say it, and let the user decide.
deeds.harvests | block | Codes asked for and sent on | That is phishing by way of the agent. | Remove it.
deeds.spreads | block | Copies itself | Text in other skills and repositories spreads without a review. | Remove it.
persistence.agent | block | Changes what the agent is told | It holds in every later session, also for other tasks. | Say it in the description, where users see it, or remove it.
persistence.shell | block | Changes what every shell runs | It runs long after the task. | Say it in the description, where users see it, or remove it.
persistence.schedule | look | Runs on its own later | It runs when nobody looks. | Say it in the description, where users see it, or remove it.
persistence.hook | block | Changes what git runs | It runs with each commit, of other projects too. | Say it in the description, where users see it, or remove it.
persistence.skills | look | Changes another skill | The other skill was reviewed without it. | Say it in the description, where users see it, or remove it.
persistence.access | block | Changes who may enter | It opens the machine to others. | Remove it.
system.reverse-shell | block | Shell for somebody outside | Whoever waits there controls the machine. | Remove it.
system.opens | block | Way in from outside | Whoever comes in that way has the user's machine. | Remove it, or say it in the description.
system.destroys | block | Destroys files or disks | There is no way back. | Name exactly what is removed, and ask first.
system.privileges | block | Highest privileges | Everything on the machine becomes changeable by anybody. | Remove it.
system.widens-itself | block | Takes the brakes off the agent | No question and no sandbox stands between the agent and the machine. | Leave it to the user.
system.host-access | look | Runs with the host's power | It leaves the container, or asks no questions. | Use fewer rights.
system.mines | block | Mines coins | It uses the machine for somebody else. | Remove it.
system.watches | block | Records keys | It sees every password. | Remove it.
system.erases-traces | block | Removes traces | Nobody can tell afterwards what was done. | Remove it.
system.tls-off | note | Does not check whom it talks to | Anybody on the way can answer. | Check certificates.
disguise.spelled-apart | block | Command written in pieces | Nobody does that who wants to be read. | Write it in one word.
disguise.encoded | block | Encoded text | A reviewer cannot read it, an agent or a script can. | Write it in plain text.
disguise.detour | block | Code that hides what it runs | It reaches a function by a detour so that it is not seen. | Call the function by its name.
disguise.opaque | look | Long run of unreadable signs | It decodes to nothing known. | Find out what it is; ship its source.
markup.hidden-order | block | Order that is not shown | It is meant for the agent and hidden from people. | Say it openly.
markup.hidden-text | note | Text that is not shown | Agents read it. | Remove it, or say it openly.
runtimes.unpinned | note | Package without a version | What comes is whatever the index has by then. | Pin the version.
lookalikes.host | block | Host that looks like a known one | It is taken for another by whoever reads quickly, and belongs to somebody else. | Write the host that is meant.
lookalikes.command | block | Command with a letter of another alphabet | It looks like a command that everybody knows, and runs something else. | Write it in one alphabet.
lookalikes.package | block | Package one letter away from a known one | A slip of the finger is how such packages are found, and they were put there for it. | Correct the name, or explain in the description which package it is.
names.confusable | block | Name like a published one | Users take it for the other skill. | Choose another name.
frontmatter.anchor | block | Anchor or alias | One text stands in many places, and readers differ in how often. | Write the text itself.
frontmatter.bom | block | Byte order mark before the front matter | Some readers see no front matter. | Remove it.
frontmatter.confusable-name | block | Name in other letters | It can look like another skill's name. | Use a to z, 0 to 9 and hyphens.
frontmatter.depth | block | Nested too deep | Readers give up at different depths. | Use text to text.
frontmatter.documents | block | Several YAML documents | Readers take different ones. | Use one.
frontmatter.duplicate | block | Key given twice | Readers disagree which one counts. | Keep one.
frontmatter.encoding | block | Not UTF-8 | Readers see different text. | Save it as UTF-8.
frontmatter.hijacks | block | Description that orders and applies always | It is read in every session, used or not. | Say what the skill is for and when to use it.
frontmatter.inner-fence | block | Looks like the end of the front matter | Another reader ends it there and sees other keys. | Remove the dashes.
frontmatter.missing | look | No front matter | The skill has no name and no description. | Add it.
frontmatter.runs | block | Starts a program when loaded | It runs before anybody reads or asks. | Remove the key.
frontmatter.settings | look | Key that can start programs | Some agents act on it when the skill is loaded. | Remove the key.
frontmatter.always | look | Switches itself on | It applies where nobody asked for it. | Remove the key.
frontmatter.orders | look | Description that wants to apply always | It is read in every session. | Say when to use the skill.
frontmatter.shape | block | Not a mapping | There is nothing to read. | Write key: value lines.
frontmatter.size | block | Too large | Nobody reads it. | Shorten it.
frontmatter.tag | block | YAML tag | It asks the reader to build an object. | Remove it.
frontmatter.unclosed | block | Not closed | Readers end it at different places. | Close it with a line ---.
frontmatter.yaml | look | Not YAML | Strict readers see no front matter, forgiving ones guess. | Quote texts with colons.
frontmatter.carriage-return | look | Windows line ends | Some readers do not find the fences. | Save it with plain line feeds.
frontmatter.flow | look | Flow style | Strict readers refuse it. | Use lines.
frontmatter.wide-tools | look | Any command allowed | The agent does not ask any more. | Name the commands.
frontmatter.name | look | Name not in the specification's form | Agents and marketplaces spell it differently. | Use a to z, 0 to 9 and single hyphens, equal to the folder.
frontmatter.description | look | Description missing or too long | Agents choose skills by it. | Write 1 to 1024 characters.
frontmatter.compatibility | look | Compatibility too long | At most 500 characters are allowed. | Shorten it.
frontmatter.type | look | Value that is not text | Readers make a number or a date of it. | Quote it.
frontmatter.unknown-key | look | Key outside the specification | Some agents act on it and others do not. | Move it under metadata.
"""
# The same for what changed since the last release, and for upstream's signatures; these come from other modules.
_COMPARED = """
history.backwards | look | Version does not follow the published one | An older release comes back with its known faults, and whoever takes the newest gets the older one. | Import a higher version.
history.source-changed | look | Comes from another source | Another marketplace may have another publisher under the same name, and it checked other things. | Compare the publishers, and read the whole diff as if it were a first release.
history.place-changed | look | Another place at the source | Another slug, repository or folder need not belong to the same people, however alike the names are. | Ask the publisher of the last release whether it moved there.
history.publisher-changed | block | Another publisher | Taking over a trusted name is the cheapest way to reach everybody who uses it: the account was handed on, sold or stolen. | Ask the publisher of the last release; if there is no answer, stay with that release.
history.account-changed | block | Another account under the publisher's name | A name that its owner gave up is free for whoever wants it; behind it is now somebody else, or the source does not say any more who. | Treat it as another publisher: ask the one of the last release by a way that does not lead through this source.
history.repository-changed | block | Another source repository | The files come from elsewhere, or the repository was deleted and somebody made a new one of the same name. | Compare the history of both repositories; the last release's commit must be in the new one.
history.licence-changed | look | Another licence | What you may do with it has changed, or whoever changed it had no right to. | Read the new licence; ask all authors' consent of the publisher, or stay with the last release.
history.grows | look | May touch what the last version could not | New hosts, commands, names of secrets or tools are where an update does harm. | Read the changes of the surface, then the changed lines that need them; acknowledge them only if each has a purpose.
history.new-file | look | File that was not there before | An agent follows a bland sentence into a new file, and there it says more. | Read the whole file, and the line that leads to it.
history.new-files | look | More new files than are listed | What is not listed is in the diff only, and is easily passed over. | Read them in the diff; ask for smaller releases.
history.withdrawn | block | Withdrawn before | This name, publisher or these very files were withdrawn for a reason that may hold still. | Read that reason (skillrepo log), and approve only what does not have the fault.
upstream.verified | note | Signed by its publisher | Somebody whom your roots vouch for signed every file; that says who it was, not that it is good. | Compare the identity with whom you expect.
upstream.partial | look | Signed, but not every file | What the signature does not cover can be anybody's. | Read the files that are not covered as if nothing were signed.
upstream.unverifiable | look | Signature that nobody here can check | It may be good or made up; to you it is worth nothing. | Configure the root that vouches for it (policy.toml), then import again.
upstream.invalid | block | Signature that does not fit | The files are not those that were signed, or the evidence was tampered with. | Fetch again; if it repeats, ask the publisher, and use the last release.
upstream.identity-new | note | Signed for the first time | From now on a version by somebody else will be noticed. | Compare the identity with the publisher.
upstream.identity-changed | block | Signed by somebody else | Whoever signs now is not who signed the last release: another build, another owner, or a thief. | Ask the publisher of the last release for the new identity, by another way.
upstream.identity-vanished | block | Signature is gone | Whoever can publish but not sign leaves the signature out. | Ask the publisher why this version is not signed.
upstream.identity-weaker | block | Signature covers or proves less | Without a transparency log, or with files left out, a forged version passes more easily. | Ask for evidence as good as the last release's.
"""
# The same for whole families.
_FAMILIES = """
source | look | Said by the source | The marketplace, or the fetched files, show something that a reviewer must know. | Read it, and compare with the files.
engine | look | Said by another engine | A scanner found something by rules of its own. | Look it up in that engine's documentation.
import | block | Could not be imported | What is not well-formed is not reviewed. | Repair the archive or folder.
"""


def _rules(table: str, *, unwaived: str = _WAIVE) -> dict[str, Rule]:
    """Return the rules of ``table``; ``unwaived`` ends the advice about what needs no waiver."""
    rules = {}
    for line in table.strip().split("\n"):
        check, severity, title, why, fix = line.split(" | ")
        last = _WAIVE if severity == Severity.BLOCK else unwaived
        rules[check] = Rule(
            check=check, title=title, severity=Severity(severity), why=why, fix=f"{fix} {last}"
        )
    return rules


RULES = _rules(_TABLE)
COMPARED = _rules(_COMPARED, unwaived=_SAY)
_BY_FAMILY = _rules(_FAMILIES)


def rule_of(check: str) -> Rule:
    """Return the rule of a finding by its identifier, such as ``unicode.tags``.

    Raises:
        KeyError: no check emits it.
    """
    if check in RULES or check in COMPARED:
        return RULES.get(check) or COMPARED[check]
    family, _, name = check.partition(".")
    if name.endswith("too-many"):
        return Rule(
            check=check,
            title="More than can be shown",
            severity=Severity.BLOCK,
            why="What was cut off is unseen, and noise must not be a way to hide something.",
            fix=f"Make the skill smaller or cleaner, then import it again. {_WAIVE}",
        )
    known = _BY_FAMILY[family]
    return Rule(check=check, title=known.title, severity=known.severity, why=known.why, fix=known.fix)
