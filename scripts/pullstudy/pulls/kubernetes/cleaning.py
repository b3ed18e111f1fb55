"""Take images away from nodes, so that the next pull finds none of it.

A pod on each node, which sees the node's files, asks the node's containerd by its own `ctr`. Dead
containers hold an image's files until the kubelet's garbage collection a minute later: those of
the image go first.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import urllib3
import websocket
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream
from kubernetes.stream.ws_client import ERROR_CHANNEL

from pullstudy.pulls.kubernetes.connect import Api, ClusterError

HOST = "/host"
IDLE = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"
_AT_ONCE = 32
_TIMEOUT_SECONDS = 120
_ATTEMPTS = 3

# $1: socket of containerd, $2: reference. One line of output is the reason why it failed.
_SCRIPT = """
ctr() { chroot /host ctr --address "$socket" --namespace k8s.io "$@"; }
socket=$1; image=$2; round=0
ctr version >/dev/null 2>&1 || { echo "containerd does not answer on $socket"; exit 1; }
while :; do
    digest=$(ctr images ls "name==$image" | awk 'NR > 1 { print $3 }')
    [ -n "$digest" ] || exit 0
    names=$(ctr images ls | awk -v digest="$digest" 'NR > 1 && $3 == digest { print $1 }')
    used=
    running=" $(ctr tasks ls | awk '$3 == "RUNNING" { printf "%s ", $1 }')"
    for one in $(ctr containers ls | awk -v names="$names" '
        BEGIN { split(names, list, "\\n"); for (n in list) wanted[list[n]] }
        NR > 1 && $2 in wanted { print $1 }'); do
        case $running in
        *" $one "*) used=$one ;;
        *) ctr tasks rm "$one" >/dev/null 2>&1; ctr containers rm "$one" >/dev/null 2>&1 ;;
        esac
    done
    if [ -z "$used" ]; then
        ctr images rm --sync $names >/dev/null 2>&1
    elif [ "$round" -gt 300 ]; then
        echo "container $used still runs"; exit 1
    fi
    round=$((round + 1)); [ "$round" -le 400 ] || { echo "it comes back"; exit 1; }
    [ -z "$used" ] || sleep 0.1
done
"""


class _Ending(msgspec.Struct):
    """How a command ended, as the kubelet tells it; nothing where the connection was cut."""

    status: str = ""
    message: str = ""


_decode_ending = msgspec.json.Decoder(_Ending).decode


def clean_nodes(api: Api, namespace: str, pods: Sequence[str], socket: str, image: str) -> None:
    """Remove an image from the nodes of these pods. Raises ClusterError when one keeps it."""
    command = ["/bin/sh", "-c", _SCRIPT, "clean", socket, image]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="clean") as pool:
        answers = pool.map(lambda pod: _execute(api, namespace, pod, command), pods)
        for pod, said in zip(pods, answers, strict=True):
            if said is not None:
                raise ClusterError(
                    f"pod {pod}: {image} cannot be removed from its node: {said}; "
                    "see options.containerd_socket, or set options.clean to 'unique'"
                )


def _execute(api: Api, namespace: str, pod: str, command: Sequence[str]) -> str | None:
    """Run a command in a pod; returns what it said when it failed."""
    said = "no answer"
    for _ in range(_ATTEMPTS):
        # The client turns into one for web sockets while it streams: each thread has its own.
        core = client.CoreV1Api(client.ApiClient(api.connection.configuration))
        try:
            answer = stream(
                core.connect_get_namespaced_pod_exec, pod, namespace,
                command=list(command), stdout=True, stderr=True, stdin=False, tty=False,
                _preload_content=False, _request_timeout=_TIMEOUT_SECONDS,
            )  # fmt: skip
            answer.run_forever(timeout=_TIMEOUT_SECONDS)
            ending = _decode_ending(answer.read_channel(ERROR_CHANNEL) or "{}")
            if ending.status == "Success":
                return None
            said = " ".join(answer.read_all().split()) or ending.message[:200] or said
            if ending.status:
                return said
        except (ApiException, urllib3.exceptions.HTTPError, websocket.WebSocketException, OSError,
                msgspec.DecodeError) as exc:  # fmt: skip
            said = str(api.error(exc))
    return said
