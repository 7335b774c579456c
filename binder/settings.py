"""The operator's manual of settings: each with its purpose, unit, default and consequence.

Each is read once from the environment, under its name in capitals behind `BINDER_` (`BINDER_STATE_DIR`). Faults are
reported all together, each with the name of its setting. Secrets are masked wherever the settings are printed.
"""

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from binder.errors import OperatorFault
from binder.homes import default_home
from binder.hosts import CONDA
from binder.session_resources import Resources

_HOST = re.compile(r"\A(?=.{1,200}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\Z")

_LEAST_TOKEN = 20
_REACHED = re.compile(r"\A(?:[0-9a-fA-F.:]+/\d{1,3}|[a-z0-9-]+)(?::\d{1,5})?\Z")
_MODULES = re.compile(r"\A(?:~?/\S.*|https?://[^\s@]+@[0-9a-f]{40})\Z")
_TAINT = re.compile(r"\A([^=:,]+)(?:=([^=:,]+))?(?::(NoSchedule|NoExecute|PreferNoSchedule))?\Z")


class Settings(BaseSettings):
    """All settings of one process."""

    model_config = SettingsConfigDict(env_prefix="BINDER_", frozen=True, extra="ignore", validate_default=True)

    state_dir: Path = Field(default_factory=lambda: default_home("state"))
    """Folder for the store and the sockets. To be backed up. One service at a time uses it."""

    cache_dir: Path = Field(default_factory=lambda: default_home("cache"))
    """Folder for images, locks, git objects and downloaded packages. Several services may share it; all in it can be
    made again, so that deleting it costs only time. Needs some GB and a file system that overlayfs can lie on."""

    url: str = "http://127.0.0.1:8585"
    """Where visitors and GitHub reach this service, without a slash at the end. It stands in every link and badge."""

    sessions_host: str = ""
    """Host below which each session has an origin of its own, so that a hostile notebook reads nothing of the service's
    or of others': a session is at `ID.HOST`, with the scheme and port of `url`. Recommended wherever strangers open
    notebooks: a name that the service's is not below, `*.HOST` leading here; `localhost` on a laptop. Empty: sessions
    are at `/s/ID/`, and share the service's origin."""

    listen: str = "127.0.0.1:8585"
    """Address and port on which HAProxy listens."""

    certificates: Path | None = None
    """PEM file, or a folder of such, by which HAProxy ends TLS: in each the certificate, its chain and its key. Read at
    the start, and again when a file changed; the service's account must be able to. None: HAProxy speaks HTTP, and TLS
    is ended before it."""

    drain_seconds: float = Field(default=0, ge=0)
    """How long a proxy that is told to stop goes on for the connections that are open, above all the WebSockets of
    notebooks, while `/health` tells load balancers to send nobody more; it ends sooner where none is open. Whatever
    runs the service must give it 15 s more than this. 0: answers under way get 5 s, WebSockets end at once."""

    http_listen: str = ""
    """Address and port on which HAProxy leads whoever asks by HTTP to `url`, which must be https: `0.0.0.0:80`. Nobody
    else can listen there then, so renew certificates by DNS or TLS, not by HTTP. Empty: HTTP is not answered."""

    database_url: str = Field(default="", repr=False)
    """SQLAlchemy's address of the store, `postgresql+psycopg://USER@HOST/NAME`. Empty: an SQLite file in the state
    folder."""

    engine: Literal["podman", "kubernetes"] = "podman"
    """Where sessions run. `podman`: on this machine, beside the service, which is one process. `kubernetes`: on the
    cluster that this process runs in, else on the one that KUBECONFIG names; it asks for a registry, and parts of the
    service can run apart (`binder serve --part`)."""

    namespace: str = "binder-sessions"
    """Namespace of the cluster in which sessions run, and nothing else. It must be there."""

    build_account: str = "binder-build"
    """The unprivileged account that runs git, Buildah and podman where the service runs as root. Ignored elsewhere."""

    builds_namespace: str = ""
    """Namespace of a cluster in which builds run as Jobs, and nothing else; its Pod Security must be "privileged". It
    asks for a registry and for `builder_image`. Empty: builds run beside the service."""

    builder_image: str = ""
    """Image of the pods in which builds run, as the cluster's nodes pull it; of the same version as the service."""

    builder_cache: str = ""
    """Where such a pod keeps layers and packages for later builds: `host:/FOLDER` of its node (a repository's builds
    then go to the same node, if they can), or `claim:NAME` of a PersistentVolumeClaim that several pods can write to.
    Empty: nowhere, so that each build pulls what it lies on."""

    session_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Who reaches sessions on a cluster besides the pods of the service's own namespace: networks (`10.1.2.0/24`) and
    namespaces of the cluster, separated by commas. For a service that runs outside of the cluster: its addresses."""

    builder_node_selector: Annotated[tuple[tuple[str, str], ...], NoDecode] = ()
    """Labels of the cluster's nodes on which builds may run, as `session_node_selector` has them. Empty: any node."""

    builder_tolerations: Annotated[tuple[tuple[str, str, str], ...], NoDecode] = ()
    """Taints of the cluster's nodes that builds tolerate, as `session_tolerations` has them. Keeps nodes for builds
    alone. Empty: none."""

    builder_pull_secrets: Annotated[tuple[str, ...], NoDecode] = ()
    """Secrets in the builds' namespace with which nodes sign in at the registry of `builder_image`, as
    `session_pull_secrets` has them. Empty: nodes have their own ways, or anybody may read the image."""

    builder_networks: Annotated[tuple[str, ...], NoDecode] = ()
    """What builds on a cluster reach besides the internet: networks (`10.1.2.0/24`) and namespaces of the cluster, or
    one port of them (`10.1.2.3/32:5000`), separated by commas: the registry, and mirrors of package indexes."""

    builder_seconds: int = Field(default=7200, ge=60)
    """How long a build on a cluster may take as a whole, with the time in which it waits for a node."""

    debian_suite: str = "bookworm"
    """The Debian release of the base image. Changing it rebuilds every environment."""

    builds_at_once: int = Field(default=2, ge=1, le=64)
    """How many builds run side by side; the others wait in the queue."""

    fork_builds_at_once: int = Field(default=1, ge=0, le=64)
    """How many builds of forks' commits run side by side, one of a repository at most and always fewer than all that
    may, where more than one may. They wait until no other build does. 0: none is built."""

    fetch_timeout_seconds: float = Field(default=300, gt=0)
    """How long fetching a commit may take before the build fails."""

    build_timeout_seconds: float = Field(default=1800, gt=0)
    """How long making one layer may take before the build fails."""

    build_log_bytes: int = Field(default=16 * 2**20, ge=2**16)
    """How much of a build's log is kept. What comes after it is dropped, and the log says so."""

    build_memory_bytes: int = Field(default=4 * 2**30, ge=512 * 2**20)
    """Memory that one build may use; a build that wants more fails. Set where the service runs as root."""

    disk_reserve_bytes: int = Field(default=2 * 2**30, ge=0)
    """What builds leave free on the disk of the cache folder: when there is less, those that run are stopped."""

    build_network: Literal["always", "dependencies"] = "always"
    """`dependencies`: the network is gone once the environment is installed, and what the repository itself is built
    with is fetched, so that its build, postBuild and Dockerfiles have none."""

    repository_bytes: int = Field(default=4 * 2**30, ge=2**20)
    """How large the files of a commit may be, all together; what is larger is refused before it is read."""

    registry: str = ""
    """Registry in which images are kept, for several machines: host and path (`registry.example.org/binder`), all
    images in this one repository. Empty: images stay in the cache folder of this machine."""

    registry_username: str = ""
    """User name at the registry. Empty: nobody signs in."""

    registry_password: SecretStr = SecretStr("")
    """Password or token at the registry."""

    registry_plain_http: bool = False
    """Whether the registry is spoken to without TLS. Only for one on the same machine."""

    registry_certificates: Path | None = None
    """PEM file with the authority that signed the registry's certificate. None: those of the system."""

    docker_mirror: str = ""
    """Mirror of Docker Hub (host and path), from which the images are pulled that Dockerfiles begin with."""

    conda_channel_alias: str = f"https://{CONDA}"
    """Where a Conda channel is that is named by a word: `conda-forge` is `ALIAS/conda-forge`."""

    cran_url: str = "https://cloud.r-project.org"
    """Mirror of CRAN, from which R's packages come that Debian does not have."""

    cran_snapshot_url: str = "https://packagemanager.posit.co/cran/{date}"
    """Where CRAN is as it was on a day, for a runtime.txt that names one; `{date}` becomes the day, like 2024-03-01."""

    images_age_seconds: float = Field(default=0, ge=0)
    """How long an image stays that no preview, build or session needs, since it was last used; environments stay three
    times as long, and the locks of what was built for ever. 0: nothing is removed for its age. `binder gc` shows what
    would go, and why."""

    images_disk_bytes: int = Field(default=0, ge=0)
    """What images may take on the disk: beyond it, those go that nobody needs and that were not used for longest; never
    one that is in use. 0: there is no such limit."""

    start_timeout_seconds: float = Field(default=60, gt=0)
    """How long a notebook server may take until a kernel of it has answered."""

    check_timeout_seconds: float = Field(default=3600, gt=0)
    """How long the notebooks may take together that a commit's `binder.yml` has run before it is green. Each has a
    session of its own, beside those of `BINDER_SESSIONS_AT_MOST`; as many run at a time as `BINDER_BUILDS_AT_ONCE`."""

    seed_seconds: float = Field(default=300, gt=0)
    """How long each seed of a session's modules may take, before the notebook can be opened."""

    session_memory_bytes: int = Field(default=2 * 2**30, ge=256 * 2**20)
    """Memory that a session may use; a session that wants more loses the process that asked."""

    session_cpus: float = Field(default=1.0, gt=0)
    """Processors that a session may use when others want them too."""

    session_disk_bytes: int = Field(default=10 * 2**30, ge=0)
    """What a session may write on the disk of a cluster's node: one that writes more is ended, before it takes the disk
    from others. 0: there is no such bound. It does not hold on one machine."""

    session_memory_at_most_bytes: int = Field(default=0, ge=0)
    """Memory that a repository may ask for in `binder.yml` for its sessions. 0: no more than all others have."""

    session_cpus_at_most: float = Field(default=0, ge=0)
    """Processors that a repository may ask for in `binder.yml`. 0: no more than all others have."""

    session_gpus_at_most: int = Field(default=0, ge=0)
    """GPUs that a repository may ask for in `binder.yml` for each of its sessions, on a cluster. 0: none."""

    session_gpu_resource: str = "nvidia.com/gpu"
    """What the cluster calls a GPU; a taint of this name on its nodes is tolerated by who asked for one."""

    session_node_selector: Annotated[tuple[tuple[str, str], ...], NoDecode] = ()
    """Labels of the cluster's nodes on which sessions may run, all of them, `KEY=VALUE` separated by commas. Empty: any
    node."""

    session_tolerations: Annotated[tuple[tuple[str, str, str], ...], NoDecode] = ()
    """Taints of the cluster's nodes that sessions tolerate, `KEY=VALUE:EFFECT` separated by commas; without a value any
    of the key's, without an effect all of them. Keeps nodes for sessions alone. Empty: none."""

    session_priority_class: str = ""
    """PriorityClass of sessions on the cluster. Pods with a lower one, such as placeholders, give way to them where
    there is no room; to a higher one sessions give way themselves, and who works in one loses it. Empty: the cluster's
    default."""

    session_pull_secrets: Annotated[tuple[str, ...], NoDecode] = ()
    """Secrets in the sessions' namespace, of the type `kubernetes.io/dockerconfigjson`, with which the cluster's nodes
    sign in at registries, separated by commas. Empty: nodes have their own ways, or anybody may read the images."""

    session_pids: int = Field(default=1024, ge=64)
    """Processes and threads that a session may have."""

    sessions_at_most: int = Field(default=50, ge=1)
    """Sessions that run at the same time, standbys included. A click beyond it waits in a queue."""

    sessions_per_repository: int = Field(default=25, ge=1)
    """Sessions of one repository that visitors may have open at the same time; a quarter of them, and one at least, may
    be of commits of forks."""

    standbys_at_most: int = Field(default=10, ge=0)
    """How many of these may be started before anybody clicks, so that a click opens at once: of the previews that are
    most likely to be opened. 0: a session is started to check a build, and at a click."""

    preload_disk_bytes: int = Field(default=0, ge=0)
    """What images may take on a node of the cluster that are brought there before anybody clicks, those of the
    likeliest previews first; what they share counts once. What is not likely any more is the node's to remove, as its
    disk fills. 0: images come with the first session."""

    preload_copies: int = Field(default=2, ge=1)
    """To how many nodes such an image is brought; the cluster prefers to run its sessions there."""

    session_idle_seconds: float = Field(default=1800, ge=60)
    """How long an open session may be without activity before it is ended."""

    session_busy_seconds: float = Field(default=7200, ge=60)
    """How long a kernel that computes keeps its session, while nobody does anything with it and nothing is printed."""

    session_age_seconds: float = Field(default=21_600, ge=60)
    """How long a session may be open, whatever happens in it; then it is ended."""

    github_url: str = "https://github.com"
    """Where GitHub's pages and repositories are; another address for GitHub Enterprise Server."""

    github_api_url: str = "https://api.github.com"
    """Where GitHub's REST API is; `https://github.example.org/api/v3` for GitHub Enterprise Server."""

    gitlab_url: str = "https://gitlab.com"
    """Where the GitLab is whose projects links of the form `/v2/gl/…` open."""

    zenodo_url: str = "https://zenodo.org"
    """Where the Zenodo is whose records links of the form `/v2/zenodo/…` open."""

    figshare_api_url: str = "https://api.figshare.com/v2"
    """Where Figshare's interface is, for links of the form `/v2/figshare/…`."""

    hydroshare_url: str = "https://www.hydroshare.org"
    """Where the HydroShare is whose resources links of the form `/v2/hydroshare/…` open."""

    doi_url: str = "https://doi.org"
    """Who says where the dataset of a DOI is, for links of the form `/v2/dataverse/…`."""

    git_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Hosts, with ports where these are not the usual ones, of which links of the forms `/v2/git/…` and `/v2/ckan/…`
    open repositories and datasets, separated by commas. These may be without TLS, and in networks of yours. Empty: all
    with public addresses and TLS. `none`: no host."""

    github_app_id: int | None = None
    """The App's id. None: that of the App that `binder setup` set up. Where there is none either, the service does not
    talk to GitHub: links open, deliveries are refused."""

    github_private_key_file: Path | None = None
    """The App's private key, a PEM file that only the service's account can read. None: the one that came with
    `binder setup`."""

    github_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Secrets that a delivery may be signed with, separated by commas: the current one, and those being retired. None:
    the one that came with `binder setup`."""

    github_deliveries: Literal["receive", "pull"] = "receive"
    """`receive`: GitHub delivers to `URL/webhooks/github`, and is asked to deliver again what failed. `pull`: the
    service fetches deliveries itself, every few seconds, so that GitHub need not reach it: behind a firewall."""

    github_client_id: str = ""
    """The App's client id, with which visitors sign in. Empty: that of the App that `binder setup` set up. Where there
    is none either, nobody can sign in, and private repositories have no previews."""

    github_client_secret: SecretStr = SecretStr("")
    """The App's client secret; what is kept of visitors' sign-ins is sealed with it, so that after a change everybody
    signs in again."""

    operators: Annotated[tuple[str, ...], NoDecode] = ()
    """GitHub logins of those who may see the operator's page once they are signed in, separated by commas."""

    launches_per_hour: int = Field(default=200, ge=0)
    """Builds and sessions that one address, or one visitor who is signed in, may start in an hour; a cold launch takes
    up to three. Where another proxy stands in front, all visitors have its address. 0: there is no such limit."""

    metrics_token: SecretStr = SecretStr("")
    """What Prometheus sends as `Authorization: Bearer …` to get `/metrics`. Empty: nobody gets them."""

    api_token: SecretStr = SecretStr("")
    """A token with which `binder` on other machines works with this service, as BINDER_TOKEN there: it opens the
    operator's API, below `/api/`. Long and random; `binder token` makes others, which the store keeps as digests.
    Empty: only those open it."""

    templates: Path | None = None
    """Folder whose files take the place of our templates by their paths: `pages/front.html`, `haproxy.cfg`. Read at the
    start, and checked. What builds are made with is part of what their images are known by, so that a change builds
    anew. None: our own."""

    modules: Annotated[tuple[str, ...], NoDecode] = ()
    """Where modules are besides Binder's own, separated by commas: folders of this machine with `NAME/VERSION/` in
    them, and repositories of git by a commit, `https://git.example.org/modules.git@SHA`, with such folders at their
    root or below `modules/`. Read at the start. Of two of one name and version the later wins, and both win over
    Binder's."""

    repository_modules: bool = True
    """Whether a repository may bring modules of its own, in `binder/modules/NAME/VERSION/`. Their images are built as
    its Dockerfile would be, and they run with no more rights than a notebook."""

    modules_memory_bytes_at_most: int = Field(default=4 * 2**30, ge=0)
    """How much memory the modules of one session may use together, besides the notebook; what asks for more is not
    built. 0: none may be asked for."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important events that are logged."""

    log_json: bool = True
    """One JSON object a line; otherwise coloured text for people."""

    @field_validator("state_dir", "cache_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        # Children run in folders of their own.
        return value.expanduser().absolute()

    @field_validator(
        "url",
        "github_url",
        "github_api_url",
        "gitlab_url",
        "zenodo_url",
        "figshare_api_url",
        "hydroshare_url",
        "doi_url",
    )
    @classmethod
    def _without_slash(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @field_validator("sessions_host")
    @classmethod
    def _host_of_sessions(cls, value: str, settings: ValidationInfo) -> str:
        host, service = value.lower(), urlsplit(settings.data.get("url", "")).hostname or ""
        if host and not _HOST.match(host):
            raise ValueError("must be a host without scheme and port, like sessions.example.org")
        if host and (service.endswith(f".{host}") or (service == host != "localhost")):
            raise ValueError("must not be the host of BINDER_URL, nor one that it is below")
        return host

    @field_validator("api_token")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < _LEAST_TOKEN:
            raise ValueError(f"must have {_LEAST_TOKEN} characters at least: `binder token` makes one")
        return value

    @field_validator("templates")
    @classmethod
    def _absolute_folder(cls, value: Path | None) -> Path | None:
        return value and value.expanduser().absolute()

    @field_validator("certificates")
    @classmethod
    def _certificates_for_https(cls, value: Path | None, settings: ValidationInfo) -> Path | None:
        if value and not str(settings.data.get("url", "")).startswith("https://"):
            raise ValueError("asks for a BINDER_URL that begins with https://")
        return value and value.expanduser().absolute()

    @field_validator("http_listen")
    @classmethod
    def _listen_beside_https(cls, value: str, settings: ValidationInfo) -> str:
        if value and not str(settings.data.get("url", "")).startswith("https://"):
            raise ValueError("asks for a BINDER_URL that begins with https://")
        return value and cls._host_and_port(value)

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("must be an address and a port, like 127.0.0.1:8585")
        return value

    @field_validator("conda_channel_alias", "cran_url", "cran_snapshot_url")
    @classmethod
    def _without_credentials(cls, value: str) -> str:
        if "@" in urlsplit(value).netloc:
            raise ValueError("must hold no user name or password: what repositories run would see it")
        return value

    @field_validator("session_node_selector", "builder_node_selector", mode="before")
    @classmethod
    def _split_labels(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        labels = [tuple(part.strip().partition("=")[::2]) for part in value.split(",") if part.strip()]
        if not all(key and label for key, label in labels):
            raise ValueError("must be labels of nodes, like pool=sessions")
        return tuple(labels)

    @field_validator("session_tolerations", "builder_tolerations", mode="before")
    @classmethod
    def _split_tolerations(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = [_TAINT.match(part.strip()) for part in value.split(",") if part.strip()]
        if not all(found):
            raise ValueError("must be taints like KEY=VALUE:NoSchedule (or NoExecute, PreferNoSchedule)")
        return tuple(match.groups("") for match in found if match)

    @field_validator("builder_networks")
    @classmethod
    def _networks_or_namespaces(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_REACHED.match(one) for one in value):
            raise ValueError("must be networks like 10.1.2.0/24 or namespaces, each with :PORT for one port")
        return value

    @field_validator("builder_cache")
    @classmethod
    def _kind_of_cache(cls, value: str) -> str:
        if value and not re.fullmatch(r"host:/.+|claim:[a-z0-9.-]+", value):
            raise ValueError("must be host:/FOLDER or claim:NAME")
        return value

    @field_validator(
        "builder_networks",
        "builder_pull_secrets",
        "github_webhook_secrets",
        "modules",
        "operators",
        "session_proxies",
        "session_pull_secrets",
        mode="before",
    )
    @classmethod
    def _split_names(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("modules")
    @classmethod
    def _folders_or_git(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_MODULES.match(one) for one in value):
            raise ValueError(
                "must be folders like /srv/modules, or https://HOST/PATH@SHA, with the whole sha of a commit"
            )
        return tuple(str(Path(one).expanduser()) if "://" not in one else one for one in value)

    @property
    def signs_in(self) -> bool:
        """Whether visitors can sign in with GitHub, so that private repositories may have previews."""
        return bool(self.github_client_id and self.github_client_secret.get_secret_value())

    @field_validator("git_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.lower().split(",")))) if isinstance(value, str) else value

    @property
    def session_resources(self) -> Resources:
        """What a session is given whose repository asks for nothing else."""
        return Resources(self.session_memory_bytes, self.session_cpus, 0)

    @property
    def session_resources_at_most(self) -> Resources:
        """What a repository may ask for."""
        return Resources(
            max(self.session_memory_bytes, self.session_memory_at_most_bytes),
            max(self.session_cpus, self.session_cpus_at_most),
            self.session_gpus_at_most,
        )

    @property
    def gists_url(self) -> str:
        """Where GitHub's gists are."""
        is_public = self.github_url == "https://github.com"
        return "https://gist.github.com" if is_public else f"{self.github_url}/gist"

    @property
    def is_secure(self) -> bool:
        """Whether visitors reach this service by https."""
        return self.url.startswith("https:")

    @property
    def github_host(self) -> str:
        """The name under which the store knows GitHub's repositories and deliveries: `github.com`."""
        return urlsplit(self.github_url).hostname or ""

    @property
    def store_url(self) -> str:
        """SQLAlchemy's address of the store."""
        return self.database_url or f"sqlite+aiosqlite:///{self.state_dir / 'binder.db'}"


def read_settings(**overrides: object) -> Settings:
    """Read the settings from the environment; `overrides` win.

    Raises: OperatorFault, with every fault and the name of its setting.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        faults = [f"BINDER_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        raise OperatorFault("Settings are wrong: " + "; ".join(faults)) from error
