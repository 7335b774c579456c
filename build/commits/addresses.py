"""Which hosts a stranger may send git to: those whose addresses are all public.

A name is looked up once, and git is then told where it is (`Source.addresses`): asked twice, a hostile name server
could answer differently.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from binder.errors import VisitorFault

_LOOK_UP_SECONDS = 10.0
_MOST_ADDRESSES = 8
_PORTS: Final = {"https": 443, "http": 80}
# An IPv4 address of any kind may be in these: RFC 6052, 3056, 4380.
_TRANSLATED: Final = tuple(map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))


async def public_addresses(url: str) -> tuple[str, ...]:
    """Return the addresses of a URL's host, as git's `http.curloptResolve` takes them.

    Raises: VisitorFault, the same where there is no such host and where it is not a public one.
    """
    parts = urlsplit(url)
    port = parts.port or _PORTS[parts.scheme]
    try:
        async with asyncio.timeout(_LOOK_UP_SECONDS):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise _not_public(parts.hostname) from error
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found][:_MOST_ADDRESSES]
    if not addresses or not all(map(is_public, addresses)):
        raise _not_public(parts.hostname)
    return tuple(f"[{address}]" if address.version == 6 else str(address) for address in addresses)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is anybody's to ask: not of this machine, its network, or its provider's."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast


def _not_public(host: str | None) -> VisitorFault:
    return VisitorFault(f"{host} is not the name of a public host.")
