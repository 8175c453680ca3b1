"""A stand-in for Python's module ``ssl``, which this Python is built without.

Packages that import ``ssl`` can be imported. TLS itself is the host's: a grant with ``tls = "postgres"`` or
``tls = "direct"`` has it speak TLS, and the handler sends plain bytes.
"""

from __future__ import annotations

import sys
from enum import IntEnum, IntFlag
from types import ModuleType
from typing import Any, NoReturn

HINT = (
    'this Python has no TLS; the host speaks it: give the grant `tls = "postgres"` or `tls = "direct"` and connect without, '
    "or send requests to `https` by urllib.request or crunchbox.http, under an `http` grant"
)


class SSLError(OSError):
    """What every use of TLS ends in."""


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise SSLError(HINT)


class SSLContext:
    """Takes every setting, and refuses when a connection is to use it: packages make contexts while they are imported."""

    wrap_socket = wrap_bio = _refuse

    def __init__(self, *_: Any, **__: Any) -> None:
        self.verify_flags = self.options = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def _context(*args: Any, **named: Any) -> SSLContext:
    return SSLContext(*args, **named)


def module() -> ModuleType:
    """The module, with the names that packages import."""
    ssl = ModuleType("ssl", __doc__)
    errors = ("SSLZeroReturnError", "SSLWantReadError", "SSLWantWriteError", "SSLSyscallError", "SSLEOFError")
    for name in (*errors, "SSLCertVerificationError"):
        setattr(ssl, name, type(name, (SSLError,), {}))
    versions = {"MINIMUM_SUPPORTED": -2, "SSLv3": 768, "TLSv1": 769, "TLSv1_1": 770, "TLSv1_2": 771, "TLSv1_3": 772}
    contents = {
        "SSLError": SSLError,
        "CertificateError": ssl.SSLCertVerificationError,
        "SSLContext": SSLContext,
        "SSLSocket": type("SSLSocket", (), {"__init__": _refuse}),
        "SSLObject": type("SSLObject", (), {"__init__": _refuse}),
        "SSLSession": type("SSLSession", (), {"__init__": _refuse}),
        "MemoryBIO": type("MemoryBIO", (), {"__init__": _refuse}),
        "create_default_context": _context,
        "_create_default_https_context": _context,
        "_create_unverified_context": _context,
        "_create_stdlib_context": _context,
        "get_server_certificate": _refuse,
        "wrap_socket": _refuse,
        "VerifyMode": IntEnum("VerifyMode", {"CERT_NONE": 0, "CERT_OPTIONAL": 1, "CERT_REQUIRED": 2}),
        "TLSVersion": IntEnum("TLSVersion", versions),
        "Options": IntFlag("Options", {"OP_ALL": 1, "OP_NO_SSLv2": 2, "OP_NO_SSLv3": 4, "OP_NO_COMPRESSION": 8}),
        "PROTOCOL_TLS": 2,
        "PROTOCOL_SSLv23": 2,
        "PROTOCOL_TLS_CLIENT": 16,
        "PROTOCOL_TLS_SERVER": 17,
        "OP_NO_TICKET": 16384,
        "HAS_SNI": True,
        "HAS_ALPN": False,
        "HAS_TLSv1_3": False,
        "HAS_NEVER_CHECK_COMMON_NAME": True,
        "OPENSSL_VERSION": "no OpenSSL",
        "OPENSSL_VERSION_INFO": (0, 0, 0, 0, 0),
        "OPENSSL_VERSION_NUMBER": 0,
        "socket_error": OSError,
    }
    for kind in ("VerifyMode", "Options"):
        contents.update({member.name: member for member in contents[kind]})
    for name, value in contents.items():
        setattr(ssl, name, value)
    return ssl


def install() -> None:
    """Makes it what ``import ssl`` finds."""
    sys.modules.setdefault("ssl", module())
