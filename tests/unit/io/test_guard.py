"""Which targets the guard lets through, whatever an address is written as."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.io.guard import NOT_PUBLIC, Address, Guard, Resolve, TargetError, is_public, resolve

PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"]
INWARD = [
    "127.0.0.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104
    "224.0.0.1", "255.255.255.255", "168.63.129.16", "198.18.0.1", "192.88.99.1",
    "::", "::1", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1",
]  # fmt: skip


def answers(*addresses: str) -> Resolve:
    async def resolver(host: str, port: int) -> Sequence[Address]:
        return [ipaddress.ip_address(address) for address in addresses]

    return resolver


def look(guard: Guard, host: str = "hooks.example.com", *, encrypted: bool = True) -> str:
    return str(asyncio.run(guard.address(host, 443, encrypted=encrypted)))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    assert look(Guard(resolve=answers(address))) == str(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", INWARD)
def test_inward_addresses_do_not(address: str) -> None:
    with pytest.raises(TargetError, match="not a public address"):
        look(Guard(resolve=answers(address)))


@pytest.mark.parametrize("address", INWARD)
def test_one_inward_address_among_public_ones_is_enough(address: str) -> None:
    with pytest.raises(TargetError):
        look(Guard(resolve=answers("8.8.8.8", address)))


def test_a_network_that_is_allowed_passes_and_no_other() -> None:
    guard = Guard(("10.1.0.0/16", "::1"), answers("10.1.2.3", "::ffff:10.1.9.9"))
    assert look(guard) == "10.1.2.3"
    assert look(Guard(("10.1.0.0/16", "::1"), answers("::1"))) == "::1"
    with pytest.raises(TargetError):
        look(Guard(("10.1.0.0/16",), answers("10.2.0.1")))


def test_a_name_that_is_allowed_may_be_anywhere_and_no_longer_name_is_meant() -> None:
    allowed = ("Hooks.Internal",)
    assert look(Guard(allowed, answers("10.9.9.9")), "hooks.internal.") == "10.9.9.9"
    with pytest.raises(TargetError):
        look(Guard(allowed, answers("10.9.9.9")), "hooks.internal.example.com")


def test_without_tls_only_what_is_allowed_passes() -> None:
    with pytest.raises(TargetError, match="https"):
        look(Guard(resolve=answers("8.8.8.8")), encrypted=False)
    assert look(Guard(("8.8.8.8",), answers("8.8.8.8")), encrypted=False) == "8.8.8.8"


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "localhost", "::1"])
def test_loopback_by_its_other_spellings(host: str) -> None:
    """The system's resolver takes them all, so they are looked at after it."""
    with pytest.raises(TargetError, match=r"not a public address|can't be resolved"):
        look(Guard(), host)


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(TargetError, match="can't be resolved"):
        asyncio.run(resolve("no-such-name.invalid", 443))


@given(st.ip_addresses())
def test_no_private_address_is_ever_public(address: Address) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_public(address)
    if any(address.version == network.version and address in network for network in NOT_PUBLIC):
        assert not is_public(address)
    if isinstance(address, ipaddress.IPv4Address):
        assert is_public(ipaddress.IPv6Address(f"::ffff:{address}")) == is_public(address)
