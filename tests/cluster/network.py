"""A network of its own: a bridge on this machine and a network namespace for each node."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cluster.daemons import call


class Network:
    """Bridge 10.78.N.1 and nodes 10.78.N.11, …; N is the first that is free."""

    def __init__(self) -> None:
        taken = call("ip", "-o", "address", "show")
        number = next(n for n in range(1, 250) if f"10.78.{n}.1/" not in taken)
        self.address = f"10.78.{number}.1"
        self._number = number
        self._bridge = f"pullstudy{number}"
        self._namespaces: list[str] = []
        self._links: list[str] = []
        call("ip", "link", "add", self._bridge, "type", "bridge")
        call("ip", "address", "add", f"{self.address}/24", "dev", self._bridge)
        call("ip", "link", "set", self._bridge, "up")

    def add(self) -> tuple[str, str]:
        """Make a namespace; returns its name and its address."""
        order = len(self._namespaces)
        name = f"pullstudy{self._number}-{order}-{os.getpid()}"
        address = f"10.78.{self._number}.{11 + order}"
        outside, inside = f"ps{self._number}v{order}", "eth0"
        call("ip", "netns", "add", name)
        self._namespaces.append(name)
        call("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
        self._links.append(outside)
        call("ip", "link", "set", outside, "master", self._bridge, "up")
        for words in (
            ("address", "add", f"{address}/24", "dev", inside),
            ("link", "set", inside, "up"),
            ("link", "set", "lo", "up"),
            ("route", "add", "default", "via", self.address),
        ):
            call("ip", "-n", name, *words)
        return name, address

    def sent_bytes(self, order: int) -> int:
        """How many bytes a node has been sent so far; order: counted from 0."""
        counter = Path(f"/sys/class/net/{self._links[order]}/statistics/tx_bytes")
        return int(counter.read_text())

    def delete(self) -> None:
        """Take everything away again."""
        for name in self._links:
            call("ip", "link", "delete", name, check=False)
        for name in self._namespaces:
            call("ip", "netns", "delete", name, check=False)
        call("ip", "link", "delete", self._bridge, check=False)
