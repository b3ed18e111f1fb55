"""The way to a registry, with the credentials that `docker login` kept for it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import aiohttp

from pullstudy.registry.auth import Authenticator
from pullstudy.registry.credentials import read_docker_config
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.transport import Transport


async def connect(
    session: aiohttp.ClientSession, registry: str, settings: HarvestSettings
) -> Transport:
    """Make the transport to a registry, or to the mirror that is asked instead.

    Raises ConfigError when the credentials cannot be had.
    """
    # A mirror is asked in its own name: the registry's credentials are not for it.
    mirror = settings.endpoint_of(registry)
    host = urlsplit(mirror).netloc if mirror else registry
    # A helper program may take its time.
    credentials = await asyncio.to_thread(lambda: read_docker_config().find(host))
    authenticator = Authenticator(host, credentials)
    return Transport(session, registry, settings.transport_of(registry), authenticator)
