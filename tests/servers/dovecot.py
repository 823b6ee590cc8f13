"""Dovecot for tests: IMAP (plain and TLS) and LMTP on free loopback ports, any user with the password PASSWORD.

A user is a mail address; a mailbox exists as soon as it is asked for, so each test takes a fresh one from `user()`.
XOAUTH2 tokens are asked of `oauth`. Started once per process; the settings are those of Dovecot 2.3.
"""

from __future__ import annotations

import functools
import getpass
import grp
import imaplib
import itertools
import os
import shutil
import signal
import smtplib
import subprocess
import time
from atexit import register
from collections.abc import Iterable
from pathlib import Path

import pytest

from connectors.mail.folders import encode
from tests.servers.absent import absent
from tests.servers.oauth import OAuthProvider
from tests.servers.ports import authority, free_port, short_folder, wait_for_port

PASSWORD = "imap-Passw0rd"

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
protocols = imap lmtp
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2
auth_failure_delay = 0
first_valid_uid = 0
last_valid_uid = 0
recipient_delimiter = +
mail_location = maildir:{folder}/mail/%Lu
mail_max_userip_connections = 100
protocol lmtp {{
  postmaster_address = postmaster@example.org
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = plain login
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%Lu allow_all_users=yes
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  process_min_avail = 2
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imaps}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
"""

_OAUTH = """
introspection_url = http://127.0.0.1:{port}/introspect?token=
introspection_mode = get
username_attribute = username
active_attribute = active
active_value = true
"""


class Dovecot:
    """A running Dovecot."""

    def __init__(self, program: str) -> None:
        self.folder = short_folder("dovecot")
        self.oauth = OAuthProvider()
        self.imap_port, self.imaps_port, self.lmtp_port = free_port(), free_port(), free_port()
        root = os.geteuid() == 0
        user = "nobody" if root else getpass.getuser()
        group = "nogroup" if root else grp.getgrgid(os.getegid()).gr_name
        for name in ("run", "mail"):
            (self.folder / name).mkdir()
        (self.folder / "oauth2.conf").write_text(_OAUTH.format(port=self.oauth.port))
        (self.folder / "dovecot.conf").write_text(
            _CONFIG.format(
                folder=self.folder,
                user=user,
                group=group,
                certificate=authority().certificate,
                key=authority().key,
                password=PASSWORD,
                imap=self.imap_port,
                imaps=self.imaps_port,
                lmtp=self.lmtp_port,
            )
        )
        if root:
            for path in [self.folder, *self.folder.rglob("*")]:
                shutil.chown(path, user, group)
        self._numbers = itertools.count(1)
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it, or starts it again on the same ports."""
        with (self.folder / "stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                [self._program, "-F", "-c", str(self.folder / "dovecot.conf")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        for port in (self.imap_port, self.imaps_port, self.lmtp_port):
            if not wait_for_port(port):
                self.stop()
                pytest.fail(f"Dovecot did not start: {self.log()}", pytrace=False)

    def stop(self) -> None:
        """Ends it with all its connections, and waits until its pid file is gone."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def log(self) -> str:
        paths = [self.folder / "stderr", self.folder / "log"]
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in paths if path.exists())

    def user(self) -> str:
        """The address of a mailbox that nobody has used yet."""
        return f"user{next(self._numbers)}-{os.getpid()}@example.org"

    def imap(self, user: str) -> imaplib.IMAP4:
        """A signed-in client of the standard library: the test's own look into the mailbox."""
        client = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=10)
        client.login(user, PASSWORD)
        return client

    def create(self, user: str, name: str) -> None:
        with self.imap(user) as client:
            assert client.create(f'"{encode(name)}"')[0] == "OK"

    def append(self, user: str, sources: Iterable[bytes], name: str = "INBOX") -> None:
        """Puts mails into a folder, as another mail program would."""
        with self.imap(user) as client:
            for source in sources:
                assert client.append(f'"{encode(name)}"', "", "", source)[0] == "OK"

    def fill(self, user: str, sources: Iterable[bytes]) -> None:
        """Puts many mails into INBOX at once, by writing its files."""
        with self.imap(user) as client:
            client.select("INBOX")
        place = self.folder / "mail" / user
        owner = place.stat()
        for number, source in enumerate(sources):
            path = place / "new" / f"{1_700_000_000 + number}.M{number}.test"
            path.write_bytes(source.replace(b"\r\n", b"\n"))
            os.chown(path, owner.st_uid, owner.st_gid)

    def deliver(self, user: str, source: bytes, sender: str = "customer@example.com") -> None:
        """Delivers a mail by LMTP, as a mail server would."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port) as client:
            client.sendmail(sender, [user], source)

    def flags(self, user: str, name: str = "INBOX") -> list[bytes]:
        """The flags of each mail in the folder."""
        with self.imap(user) as client:
            client.select(f'"{encode(name)}"', readonly=True)
            found = client.fetch("1:*", "(FLAGS)")[1]
        return [line for line in found if isinstance(line, bytes)]

    def sources(self, user: str, name: str = "INBOX") -> list[bytes]:
        """All mails of the folder."""
        with self.imap(user) as client:
            (count,) = client.select(f'"{encode(name)}"', readonly=True)[1]
            found = client.fetch("1:*", "(BODY.PEEK[])")[1] if count != b"0" else []
        return [item[1] for item in found if isinstance(item, tuple)]

    def remove(self, user: str, name: str = "INBOX") -> None:
        """Empties the folder, as another mail program would."""
        with self.imap(user) as client:
            client.select(f'"{encode(name)}"')
            client.store("1:*", "+FLAGS", r"(\Deleted)")
            client.expunge()

    def kill_sessions(self, user: str) -> int:
        """Kills the server's processes that serve this user's connections; how many there were."""
        assert self._process is not None
        killed = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
                if name != "imap" or rest.split()[1] != str(self._process.pid):
                    continue
                files = {os.readlink(entry) for entry in (stat.parent / "fd").iterdir()}
                place = os.readlink(stat.parent / "cwd")
            except OSError:
                continue
            if any(user in path for path in {*files, place}):
                os.kill(int(stat.parent.name), signal.SIGKILL)
                killed += 1
        return killed

    def renumber(self, user: str) -> None:
        """Makes the server forget all UIDs of INBOX: it gives new ones under another UIDVALIDITY."""
        place = self.folder / "mail" / user
        time.sleep(1.1)  # the new UIDVALIDITY is the time in seconds
        for path in place.glob("dovecot*"):
            path.unlink()


@functools.cache
def running() -> Dovecot | None:
    program = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        return None
    server = Dovecot(program)
    register(server.stop)
    return server


def start_dovecot() -> Dovecot:
    """The Dovecot of this process; skips the test where there is none."""
    return running() or absent("dovecot (packages dovecot-imapd, dovecot-lmtpd)")


@pytest.fixture(scope="session")
def dovecot() -> Dovecot:
    return start_dovecot()
