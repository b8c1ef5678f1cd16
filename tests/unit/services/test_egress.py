"""Where the broker connects to because a stranger says so."""

from ipaddress import ip_address

import pytest

from quanopy.domain.errors import Forbidden, Invalid, QuanopyError
from quanopy.services.egress import Egress, parsed

PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]
NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.0.9", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
    *("100.64.0.1", "169.254.169.254", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("192.88.99.1", "::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1"),
    *("ff0e::1", "2001:db8::1", "2001::1", "100::1", "3fff::1", "5f00::1"),
    # What stands for an address of IPv4: mapped, compatible, 6to4, NAT64.
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
    *("::10.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("64:ff9b:1::808:808", "64:ff9b::a9fe:a9fe"),
]


def shown(address: str) -> str:
    """As urls have it."""
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached(address: str) -> None:
    place = Egress().place(f"https://{shown(address)}/x")
    assert ip_address(place.host) == ip_address(address)
    Egress().check(ip_address(address), secure=True)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_any_other_may_not(address: str) -> None:
    with pytest.raises(Forbidden, match="may not reach"):
        Egress().place(f"https://{shown(address)}/x")
    with pytest.raises(Forbidden, match="may not reach"):
        Egress(["10.1.0.0/16"]).check(parsed(address), secure=True)


def test_a_scope_opens_nothing() -> None:
    for text in ("fe80::1%eth0", "::1%1", "::ffff:10.0.0.1%2"):
        with pytest.raises(Forbidden):
            Egress().check(parsed(text), secure=True)


@pytest.mark.parametrize(
    ("allowed", "address"),
    [
        ("10.1.0.0/16", "10.1.2.3"),
        ("10.1.0.0/16", "::ffff:10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
        ("127.0.0.0/8", "127.0.0.1"),
        ("::1", "::1"),
        ("fd00:12::/32", "fd00:12::7"),
    ],
)
def test_what_an_operator_allows_may_be_reached_also_without_tls(
    allowed: str, address: str
) -> None:
    egress = Egress([allowed])
    for scheme in ("http", "https"):
        egress.place(f"{scheme}://{shown(address)}:8080/x")
    egress.check(parsed(address), secure=False)
    with pytest.raises(Forbidden):
        egress.check(parsed("10.2.0.1"), secure=True)


def test_without_tls_nothing_public_is_reached() -> None:
    with pytest.raises(Forbidden, match="https"):
        Egress().place("http://lab.example/x")
    with pytest.raises(Forbidden, match="https"):
        Egress(["10.1.0.0/16"]).check(ip_address("8.8.8.8"), secure=False)


@pytest.mark.parametrize(
    "host",
    [
        # What resolvers and browsers take for 127.0.0.1, or for some other address.
        *("2130706433", "0x7f000001", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1", "017700000001"),
        *("127.0.0.1.", "127.0.0.01", "1.2.3.4.5", "0", "0x", "256.1.1.1", "0x7f.0.0.0x1"),
        *("①②⑦.0.0.1", "127。0。0。1", "lab.example%2f", "lab..example", "-", "lab.-x", "", "."),
        *("[::1", "[zz]", "[127.0.0.1]", "[fe80::1%25eth0]", "a" * 64 + ".example"),
    ],
)
def test_a_host_is_a_name_or_an_address_as_everybody_reads_it(host: str) -> None:
    with pytest.raises(QuanopyError):
        Egress().place(f"https://{host}/x")


@pytest.mark.parametrize(
    "url",
    [
        *("lab.example", "//lab.example", "ftp://lab.example", "file:///etc/passwd", "https:/x"),
        *("https://user@lab.example", "https://user:word@lab.example/", "https://:@lab.example"),
        *("https://lab.example#x", "https://lab.example/#", "https://lab.example:0/"),
        *("https://lab.example:99999", "https://lab.example:x", "https://lab.example\\@10.0.0.1/"),
        *("https://lab.example/ x", "https://lab.example/\r\nHost: x", "https://lab.example/\0"),
        *("https://lab.example/é", "https://lab.example/" + "x" * 2000, "", " "),
        "javascript:alert(1)",
    ],
)
def test_what_is_no_url_of_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        Egress(["0.0.0.0/0"]).place(url)
    assert caught.value.where == "url"


@pytest.mark.parametrize("port", [1, 22, 25, 80, 1023])
def test_a_low_port_of_something_else_is_refused(port: int) -> None:
    with pytest.raises(Forbidden, match=f"port {port}"):
        Egress().place(f"https://lab.example:{port}/")


def test_a_place_is_what_the_url_says() -> None:
    place = Egress().place("https://Lab.Example.:8443/a/b?c=d&e=%20")
    assert (place.host, place.port, place.target) == ("lab.example", 8443, "/a/b?c=d&e=%20")
    assert place.authority == "lab.example:8443"
    assert Egress().place("https://lab.example").target == "/"
    assert Egress().place("https://lab.example?x").target == "/?x"
    assert Egress().place("https://[2606:4700::1111]/").authority == "[2606:4700::1111]"


@pytest.mark.parametrize("text", ["10.1.0.0/99", "lab.example", "", "peer"])
def test_what_is_no_network_stops_the_start(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        Egress([text])
    assert caught.value.where == "webhook_networks"
