"""Where alerts may be sent: a URL from a setting must not reach into the network that this service stands in.

A target is refused when any of its addresses is not a public one, unless it is allowed by name or by network. Names
are resolved once for each request, and the request goes to an address that was looked at: a name that is answered
differently a moment later (DNS rebinding) changes nothing. After the OWASP cheat sheet on SSRF.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import httpx

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

# Addresses that Python's ipaddress takes for public, and that lead elsewhere or inward.
NOT_PUBLIC: tuple[Network, ...] = (
    IPv4Network("168.63.129.16/32"),  # Azure's own services on every virtual machine
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv6Network("::/96"),  # IPv4-compatible, as old stacks take it
    IPv6Network("64:ff9b::/96"),  # NAT64: any IPv4 address in other clothes
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("2001::/32"),  # Teredo
    IPv6Network("2002::/16"),  # 6to4
    IPv6Network("fec0::/10"),  # site-local
)


class TargetError(ValueError):
    """The target may not be sent to. The text names the host at most: the rest of a URL may be a secret."""


async def resolve(host: str, port: int) -> Sequence[Address]:
    """All addresses of a host, as the system's resolver has them. Raises TargetError when it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TargetError(f"{host}: the name can't be resolved") from None
    return [ipaddress.ip_address(address[0]) for *_, address in found]


def is_public(address: Address) -> bool:
    """Whether an address is out on the internet, whatever it is written as."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if mapped is not None:
        return is_public(mapped)
    inward = any(address.version == network.version and address in network for network in NOT_PUBLIC)
    return address.is_global and not address.is_multicast and not inward


@dataclass(frozen=True)
class Guard:
    """Which targets are let through: public ones, and those that `allowed` names.

    An entry is a host name, or an address or network (`10.1.0.0/16`). A host allowed by its name may be anywhere.
    """

    allowed: Sequence[str] = ()
    resolve: Resolve = resolve
    _names: frozenset[str] = field(init=False, default=frozenset())
    _networks: tuple[Network, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        networks = {entry: _network(entry) for entry in self.allowed}
        object.__setattr__(self, "_names", frozenset(e.lower() for e, network in networks.items() if network is None))
        object.__setattr__(self, "_networks", tuple(n for n in networks.values() if n is not None))

    async def address(self, host: str, port: int, *, encrypted: bool) -> Address:
        """An address of the host to send to. Raises TargetError when any of its addresses is not let through.

        Without encryption only what is allowed by name or network is let through.
        """
        name = host.rstrip(".").lower()
        found = list(await self.resolve(name, port))
        if not found:
            raise TargetError(f"{host}: the name has no address")
        if name in self._names or all(self._in_allowed(address) for address in found):
            return found[0]
        if not all(is_public(address) or self._in_allowed(address) for address in found):
            raise TargetError(f"{host}: is not a public address; if it is meant, name it in alerts.allowed_targets")
        if not encrypted:
            raise TargetError(f"{host}: must be https, or be named in alerts.allowed_targets")
        return found[0]

    def _in_allowed(self, address: Address) -> bool:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        here = mapped or address
        return any(here.version == network.version and here in network for network in self._networks)


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends each request to an address that the guard has looked at, under the URL's own name (Host and TLS).

    Proxies of the environment are not used and redirects are the client's not to follow: both would lead elsewhere.
    """

    def __init__(self, guard: Guard, **transport: Any) -> None:
        self._guard = guard
        self._below = httpx.AsyncHTTPTransport(trust_env=False, **transport)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        if request.url.userinfo:
            raise TargetError(f"{host}: the URL holds a user or password")
        address = await self._guard.address(host, port, encrypted=request.url.scheme == "https")
        request.extensions = {**request.extensions, "sni_hostname": host}  # the certificate is to be the name's
        request.url = request.url.copy_with(host=str(address))
        return await self._below.handle_async_request(request)

    async def aclose(self) -> None:
        await self._below.aclose()


def _network(entry: str) -> Network | None:
    """The entry as a network, None where it is a name."""
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None
