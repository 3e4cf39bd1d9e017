"""Programs that are given an address and run, install or apply what is there: in one command, without a file between.

    jbang https://x.invalid/p.java            kubectl apply -f https://x.invalid/agent.yaml
    nix run https://x.invalid/f.tar.gz#p      code --install-extension https://x.invalid/p.vsix

Known are the program, its word for doing so and the place of the address. An address of a forge or of the maker of
well-known software is what honest guides name; one of the skill's own service, which the description names, is for a
person to look at; any other one blocks.
"""

from collections.abc import Iterator

from repo_server.curation.checks import egress
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, Hit
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.purpose import Purpose
from signing.format.finding import Severity

_CHECK = "acquisition.fetching-program"
_TO_ADDRESS = r"[^\n|;&\"'`]{0,80}?[\s=(][\"']?https?://(?P<HOST>[\w.-]{3,100})"
_RUNNERS = (
    r"\b(?:jbang|jshell|kscript|scala-cli|groovy|bun run|deno (?:run|install)|nix (?:run|shell|develop|build|profile install))",
    r"\b(?:nix-shell|nix-env|nix-build|guix (?:shell|install|pull|time-machine))",
    r"\b(?:ansible-pull|ansible-playbook|ansible-galaxy|puppet apply|chef-client|salt-call|cloud-init)",
    r"\b(?:kubectl|oc|k3s kubectl) (?:apply|create|replace)",
    r"\bhelm (?:install|upgrade|template)",
    r"\b(?:docker|podman|nerdctl|buildah) (?:build|buildx build|compose|stack deploy|play kube|kube play|import|load|plugin install)",
    r"\b(?:terraform|tofu) init [^\n]{0,40}-from-module",
    r"\b(?:code|codium|cursor|windsurf|code-insiders) --install-extension",
    r"\b(?:conda|mamba|micromamba) (?:install|create|env create|env update)",
    r"\bflatpak (?:install|remote-add)",
    r"\b(?:claude|codex|gemini|cursor-agent) (?:plugin|plugins|extension|extensions|skills?) (?:install|add|marketplace add)",
    r"\bnpx (?:-y |--yes )?(?:skills?|@\w[\w-]{0,40}/skills?) add",
)
_BY_ADDRESS = Phrases(
    "|".join(
        runner.replace(" ", r"\s{1,4}") + _TO_ADDRESS.replace("HOST", f"host{number}")
        for number, runner in enumerate(_RUNNERS)
    )
)


def started(document: Document, purpose: Purpose) -> Iterator[Hit]:
    """Yield each command of one text that starts what stands at an address."""
    for match in document.places(_BY_ADDRESS):
        host = egress.host_of(next(group for group in match.groups() if group))
        if (
            egress.belongs(host, egress.FORGES)
            or egress.belongs(host, egress.OFFICIAL)
            or egress.is_local(host)
            or egress.SAMPLE.search(host)
            or is_warning(document, match.start())
        ):
            continue
        yield Hit(
            check=_CHECK,
            severity=Severity.LOOK if purpose.names_host(host) else Severity.BLOCK,
            at=match.start(),
            message=f"starts or installs what {host} gives at that moment; ship it, or pin its digest",
        )
