"""Where the API server is, and what proves who we are: from a pod's service account or from a kubeconfig file.

Invariants: TLS is always verified; what would turn that off is refused, and so is plain HTTP to another machine; a private key
touches the disk only in a file that nobody else can read, and only while it is loaded. Other ways to sign in (exec plug-ins,
auth providers, passwords) are refused by name, not skipped.
"""

from __future__ import annotations

import base64
import binascii
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import yaml
from msgspec import Struct, field

from detnet.errors import InputError, MissingFeatureError

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Access(Struct, frozen=True, kw_only=True):
    """All that a client needs. Certificates and keys are PEM text."""

    server: str
    namespace: str = "default"
    authority: str | None = None
    certificate: str | None = None
    private_key: str | None = None
    token: str | None = None
    token_file: Path | None = None

    def tls(self) -> ssl.SSLContext:
        """Give a context that verifies the server, and shows our certificate if there is one.

        Raises:
            InputError: a certificate or key cannot be read.
        """
        try:
            context = ssl.create_default_context(cadata=self.authority)
            if self.certificate is not None and self.private_key is not None:
                with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:  # mode 0600, gone when closed
                    pem.write(f"{self.certificate}\n{self.private_key}\n")
                    pem.flush()
                    context.load_cert_chain(pem.name)
        except (ssl.SSLError, ValueError) as error:
            raise InputError(
                "certificate of the cluster", str(error), "PEM certificates and keys that belong together"
            ) from error
        return context


class _Cluster(Struct, rename="kebab"):
    server: str
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool = False


class _User(Struct, rename={"token_file": "tokenFile", "auth_provider": "auth-provider"}):
    token: str | None = None
    token_file: str | None = None
    client_certificate: str | None = field(default=None, name="client-certificate")
    client_certificate_data: str | None = field(default=None, name="client-certificate-data")
    client_key: str | None = field(default=None, name="client-key")
    client_key_data: str | None = field(default=None, name="client-key-data")
    exec: object = None
    auth_provider: object = None
    password: str | None = None


class _Context(Struct):
    cluster: str
    user: str = ""
    namespace: str = "default"


class _NamedCluster(Struct):
    name: str
    cluster: _Cluster


class _NamedUser(Struct):
    name: str
    user: _User = field(default_factory=_User)


class _NamedContext(Struct):
    name: str
    context: _Context


class _Kubeconfig(Struct, rename="kebab"):
    clusters: list[_NamedCluster]
    contexts: list[_NamedContext]
    users: list[_NamedUser] = field(default_factory=list)
    current_context: str = ""


def find_access(env: Mapping[str, str], kubeconfig: Path | None = None, *, account: Path = SERVICE_ACCOUNT) -> Access:
    """Find the cluster: the file that was named, else a pod's service account, else `KUBECONFIG`, else `~/.kube/config`.

    Raises:
        InputError: what was found cannot be used.
        MissingFeatureError: nothing was found.
    """
    if kubeconfig is not None:
        return read_kubeconfig(kubeconfig)
    if "KUBERNETES_SERVICE_HOST" in env and (account / "token").exists():
        return in_cluster(env, account)
    named = env.get("KUBECONFIG", "")
    if ":" in named:
        raise InputError("KUBECONFIG", named, "the path of one file")
    path = Path(named) if named else Path(env.get("HOME", "/")) / ".kube" / "config"
    if named or path.exists():
        return read_kubeconfig(path)
    raise MissingFeatureError("no Kubernetes cluster is known here", "name a kubeconfig file, or run inside a pod")


def in_cluster(env: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> Access:
    """Use the pod's service account; its token is read again as the kubelet renews it.

    Raises:
        InputError: the account's files or variables are not complete.
    """
    host, port = env.get("KUBERNETES_SERVICE_HOST", ""), env.get("KUBERNETES_SERVICE_PORT", "443")
    return Access(
        server=_checked_server(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"),
        namespace=_text("service account", account / "namespace").strip(),
        authority=_text("service account", account / "ca.crt"),
        token_file=account / "token",
    )


def read_kubeconfig(path: Path, context: str | None = None) -> Access:
    """Read the current (or the named) context of a kubeconfig file.

    Raises:
        InputError: the file cannot be read, or asks for something that we do not do.
    """
    where = f"kubeconfig {path}"
    try:
        config = msgspec.convert(yaml.safe_load(_text(where, path)), _Kubeconfig)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise InputError(where, str(error), "a kubeconfig file") from error
    wanted = context or config.current_context
    chosen = {named.name: named.context for named in config.contexts}.get(wanted)
    if chosen is None:
        raise InputError(f"{where}: context", wanted, "one of " + ", ".join(named.name for named in config.contexts))
    cluster = {named.name: named.cluster for named in config.clusters}.get(chosen.cluster)
    user = {named.name: named.user for named in config.users}.get(chosen.user, _User() if not chosen.user else None)
    if cluster is None or user is None:
        raise InputError(
            f"{where}: context {wanted}", f"{chosen.cluster}, {chosen.user}", "a cluster and a user of the same file"
        )
    if cluster.insecure_skip_tls_verify:
        raise InputError(
            f"{where}: insecure-skip-tls-verify", "true", "certificate-authority, so that the server can be verified"
        )
    for name, value in (("exec", user.exec), ("auth-provider", user.auth_provider), ("password", user.password)):
        if value is not None:
            raise InputError(f"{where}: user {chosen.user}", name, "a token, a tokenFile or a client certificate")
    folder = path.parent
    return Access(
        server=_checked_server(cluster.server),
        namespace=chosen.namespace,
        authority=_pem(where, folder, cluster.certificate_authority_data, cluster.certificate_authority),
        certificate=_pem(where, folder, user.client_certificate_data, user.client_certificate),
        private_key=_pem(where, folder, user.client_key_data, user.client_key),
        token=None if user.token_file else user.token,
        token_file=folder / user.token_file if user.token_file else None,
    )


def _checked_server(server: str) -> str:
    """Refuse what would carry a token in the clear."""
    parts = urlsplit(server)
    if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)):
        return server.rstrip("/")
    raise InputError("server", server, "an https:// address; http:// on this machine only")


def _pem(where: str, folder: Path, data: str | None, file: str | None) -> str | None:
    """PEM text that stands in the file itself (base64), or in another."""
    if data:
        try:
            return base64.b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InputError(f"{where}: certificate data", data[:20], "PEM text in base64") from error
    return _text(where, folder / file) if file else None


def _text(where: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(where, str(path), "a text file that can be read") from error
