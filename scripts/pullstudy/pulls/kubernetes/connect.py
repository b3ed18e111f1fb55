"""The API server of a cluster: how to find it, what its errors mean, and when to ask again.

Clusters come and go, and so does an API server while it is upgraded: what may be over in a moment
is tried again for two minutes, everything else is an error in one line.
"""

from __future__ import annotations

import http
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError

from pullstudy.errors import PullError

_PATIENCE_SECONDS = 120.0
_FIRST_DELAY_SECONDS = 0.25
_LONGEST_DELAY_SECONDS = 5.0
_TIMEOUT_SECONDS = (5.0, 60.0)
_TEMPORARY = frozenset(
    {
        http.HTTPStatus.TOO_MANY_REQUESTS,
        http.HTTPStatus.INTERNAL_SERVER_ERROR,
        http.HTTPStatus.BAD_GATEWAY,
        http.HTTPStatus.SERVICE_UNAVAILABLE,
        http.HTTPStatus.GATEWAY_TIMEOUT,
    }
)
NOT_FOUND = http.HTTPStatus.NOT_FOUND
CONFLICT = http.HTTPStatus.CONFLICT
FORBIDDEN = http.HTTPStatus.FORBIDDEN
# What may have been done although nobody said so.
AMBIGUOUS = frozenset({NOT_FOUND, CONFLICT})


class ClusterError(PullError):
    """A cluster refuses, or cannot be reached; status: of the answer, if there was one."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """One API server; may be used by several threads."""

    def __init__(self, connection: client.ApiClient) -> None:
        self.connection = connection
        self.host = str(connection.configuration.host)
        self.core = client.CoreV1Api(connection)
        self._dynamic: DynamicClient | None = None

    def call(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call the API; goes on while it fails for the moment. Raises ClusterError."""
        keywords.setdefault("_request_timeout", _TIMEOUT_SECONDS)
        end = time.monotonic() + _PATIENCE_SECONDS
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                return function(*arguments, **keywords)
            except (ApiException, DynamicApiError, urllib3.exceptions.HTTPError) as exc:
                if not is_temporary(exc) or time.monotonic() + delay > end:
                    raise self.error(exc) from exc
            time.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY_SECONDS)

    def create(self, body: dict[str, Any]) -> None:
        """Create an object; one that is there already stays."""
        try:
            self._on_resource("create", body, body=body)
        except ClusterError as exc:
            if exc.status != CONFLICT:
                raise

    def apply(self, body: dict[str, Any]) -> None:
        """Make an object be as described (server-side apply)."""
        self._on_resource(
            "server_side_apply", body, body=body, field_manager="pullstudy", force_conflicts=True
        )

    def delete(self, body: dict[str, Any], *, grace_seconds: int | None = None) -> None:
        """Delete an object and, in the background, what it owns; gone is fine."""
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self._on_resource("delete", body, name=body["metadata"]["name"], body=options)
        except ClusterError as exc:
            if exc.status != NOT_FOUND:
                raise

    def read(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return an object as it is now; None: there is none."""
        try:
            found = self._on_resource("get", body, name=body["metadata"]["name"])
        except ClusterError as exc:
            if exc.status == NOT_FOUND:
                return None
            raise
        return dict(found.to_dict())

    def list(self, function: Callable[..., Any], *arguments: str, **keywords: Any) -> Listing:
        """Return all objects of a list as they stand in JSON, and the version of the list."""
        items: Sequence[msgspec.Raw] = ()
        page = _Page()
        while True:
            answer = self.call(
                function,
                *arguments,
                limit=500,
                _continue=page.metadata.continue_ or None,
                _preload_content=False,
                **keywords,
            )
            page = _decode_page(answer.data)
            items = [*items, *page.items]
            if not page.metadata.continue_:
                return Listing(items, page.metadata.version)

    def error(self, exc: Exception) -> ClusterError:
        """Say in one line what went wrong."""
        status = getattr(exc, "status", None)
        if status is None:
            reason = getattr(exc, "reason", None) or exc
            return ClusterError(f"{self.host}: cannot be reached: {_one_line(reason)}")
        hint = {401: "; log in again", FORBIDDEN: "; ask for this right"}.get(status, "")
        return ClusterError(f"{self.host}: {status} {_message_of(exc)}{hint}", status)

    def resource(self, about: dict[str, Any]) -> Any:
        """Return the dynamic client's resource of an object."""
        if self._dynamic is None:
            self._dynamic = DynamicClient(self.connection)
        return self._dynamic.resources.get(api_version=about["apiVersion"], kind=about["kind"])

    def _on_resource(self, verb: str, about: dict[str, Any], **keywords: Any) -> Any:
        def act(**timeout: Any) -> Any:
            kind = self.resource(about)
            namespace = about["metadata"].get("namespace")
            return getattr(kind, verb)(namespace=namespace, **keywords, **timeout)

        try:
            return self.call(act)
        except ResourceNotFoundError as exc:
            named = f"{about['apiVersion']} {about['kind']}"
            raise ClusterError(f"{self.host}: knows no {named}", NOT_FOUND) from exc


class _Metadata(msgspec.Struct):
    version: str = msgspec.field(name="resourceVersion", default="")
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    items: list[msgspec.Raw] = []


class _Status(msgspec.Struct):
    message: str = ""


class Listing(msgspec.Struct):
    """Objects of one kind, and the version from which a watch goes on."""

    items: Sequence[msgspec.Raw]
    version: str


_decode_page = msgspec.json.Decoder(_Page).decode
_decode_status = msgspec.json.Decoder(_Status).decode


def connect(context: str | None = None) -> Api:
    """Find the cluster: a kubeconfig (or a context of the default one), else the one around us.

    Raises ClusterError when there is none.
    """
    settings = client.Configuration()
    # The cleaning of many nodes and the watches go on side by side.
    settings.connection_pool_maxsize = 64
    settings.retries = urllib3.Retry(0)
    try:
        if context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
            config.load_incluster_config(client_configuration=settings)
        elif context is not None and os.path.exists(context):  # noqa: PTH110 (a context or a path)
            config.load_kube_config(config_file=context, client_configuration=settings)
        else:
            config.load_kube_config(context=context, client_configuration=settings)
    except (config.ConfigException, OSError) as exc:
        raise ClusterError(
            f"kubeconfig: {_one_line(exc)}; set KUBECONFIG, or name a context under 'endpoints'"
        ) from exc
    return Api(client.ApiClient(settings))


def is_temporary(exc: Exception) -> bool:
    """Whether the same request may succeed in a moment."""
    status = getattr(exc, "status", None)
    return status in _TEMPORARY if status else isinstance(exc, urllib3.exceptions.HTTPError)


def _message_of(exc: Exception) -> str:
    body = getattr(exc, "body", None) or b""
    try:
        text = _decode_status(body).message
    except msgspec.DecodeError:
        text = ""
    return _one_line(text or getattr(exc, "reason", "") or exc)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:300]
