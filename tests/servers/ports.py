"""Free ports, short folders and a certificate authority of our own, for servers that tests start."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import shutil
import socket
import tempfile
import time
from atexit import register
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_taken: set[int] = set()


def free_port() -> int:
    """A loopback port nobody listens on now, and that this process has not given out before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _taken:
            _taken.add(port)
            return port


def wait_for_port(port: int, seconds: float = 15) -> bool:
    """Whether something listens there within that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


def short_folder(name: str) -> Path:
    """A new folder with a path short enough for unix sockets (108 characters), removed when the tests end."""
    path = Path(tempfile.mkdtemp(prefix=f"og-{name}-", dir="/tmp"))
    path.chmod(0o755)
    register(shutil.rmtree, path, ignore_errors=True)
    return path


class Authority:
    """A certificate authority with one certificate for localhost. Paths to PEM files."""

    def __init__(self, folder: Path) -> None:
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        now = datetime.datetime.now(datetime.UTC)

        def start(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
            return (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(ca_name)
                .public_key(public)
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(hours=1))
                .not_valid_after(now + datetime.timedelta(days=2))
            )

        ca = (
            start(ca_name, ca_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(ca_key, hashes.SHA256())
        )
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        certificate = (
            start(subject, key.public_key()).add_extension(names, critical=False).sign(ca_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        self.pem = ca.public_bytes(pem).decode()
        self.certificate, self.key = folder / "server.pem", folder / "server.key"
        self.certificate.write_bytes(certificate.public_bytes(pem))
        self.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


@functools.cache
def authority() -> Authority:
    """The authority of this test run."""
    return Authority(short_folder("ca"))
