"""PyKMIP's own server as a process, with certificates that are made for it."""

import datetime as dt
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from kmip.pie.client import ProxyKmipClient

from bascule_keymanager.config_stores import KmipSettings

DEADLINE_S = 60.0
_PAUSE = threading.Event()  # never set: between two looks at a port


class Authority:
    """Signs certificates, for a day."""

    def __init__(self, folder, name):
        self.folder, self._now = folder, dt.datetime.now(dt.UTC)
        self._key = rsa.generate_private_key(65_537, 2_048)
        self._name = _named(name)
        self.path = self._write(name, self._signed(self._name, self._key, is_authority=True), None)

    def issue(self, name):
        """Return the paths of a certificate of this name and of its key."""
        key = rsa.generate_private_key(65_537, 2_048)
        return self._write(name, self._signed(_named(name), key, is_authority=False), key)

    def _signed(self, name, key, *, is_authority):
        day = dt.timedelta(days=1)
        made = (
            x509.CertificateBuilder(self._name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(self._now - day)
            .not_valid_after(self._now + day)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            made = made.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            made = made.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return made.sign(self._key, hashes.SHA256())

    def _write(self, name, certificate, key):
        path = self.folder / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        if key is None:
            return path
        secret = self.folder / f"{name}.key"
        form = serialization.PrivateFormat.PKCS8
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        secret.chmod(0o400)
        return path, secret


def _named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class KmipServer:
    """The server, from `start` to `stop`, and again; what it keeps stays."""

    def __init__(self, folder):
        self.folder, self._process = folder, None
        self.authority = Authority(folder, "authority")
        self.certificate, self.key = self.authority.issue("keymanager")
        certificate, key = self.authority.issue("server")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (folder / "policy").mkdir()
        (folder / "server.conf").write_text(
            f"[server]\nhostname=127.0.0.1\nport={self.port}\ncertificate_path={certificate}\nkey_path={key}\n"
            f"ca_path={self.authority.path}\nauth_suite=TLS1.2\npolicy_path={folder / 'policy'}\n"
            f"enable_tls_client_auth=True\ndatabase_path={folder / 'kmip.db'}\n"
        )

    def start(self):
        """Start, and wait until it answers."""
        code = "from kmip.services.server.server import main; main()"
        command = [sys.executable, "-c", code, "-f", str(self.folder / "server.conf"), "-l", str(self.folder / "log")]
        with (self.folder / "out").open("a") as out:
            self._process = subprocess.Popen(command, env=os.environ, stdout=out, stderr=out, start_new_session=True)
        deadline = time.monotonic() + DEADLINE_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "out").read_text()
            assert time.monotonic() < deadline, "the KMIP server does not answer"
            _PAUSE.wait(0.1)

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self):
        """Stop at once, with the processes that it started; safe to call again."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_S)

    @property
    def settings(self):
        """[kmip_plugin], as it gets in here."""
        paths = {"ca_certs": self.authority.path, "certfile": self.certificate, "keyfile": self.key}
        return KmipSettings(host="127.0.0.1", port=self.port, **{name: str(path) for name, path in paths.items()})

    def client(self):
        """The library's own client, as Barbican's plugin opens it."""
        settings = self.settings
        return ProxyKmipClient(
            hostname=settings.host,
            port=settings.port,
            cert=settings.certfile,
            key=settings.keyfile,
            ca=settings.ca_certs,
            ssl_version=settings.ssl_version,
        )
