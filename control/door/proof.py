"""How a tree proves to a client on TCP that it knows the token, before the client says it: an HMAC over what the client has chosen.

It is made for the address and port that the connection leads to: another program cannot have the tree make it, and pass it off as its own.
That holds on loopback too: where the tree listens on 127.0.0.1, every user of the machine may listen on the same port of ::1 or 127.0.0.2.
"""

import hmac
import re
from ipaddress import IPv6Address, ip_address

PATH = "/proof"
NONCE = re.compile(r"[0-9a-f]{64}")
"""32 random bytes, as the client gives them in the query: `nonce=…`."""


def proof(token: bytes, nonce: str, host: str, port: int) -> str:
    """The proof, in hexadecimal, for a connection to that address."""
    said = f"suptree proof 1\n{nonce}\n{_name(host)}\n{port}"
    return hmac.new(token, said.encode(), "sha256").hexdigest()


def _name(host: str) -> str:
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)
