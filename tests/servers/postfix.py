"""Postfix for tests: a real mail server on a free loopback port that hands all mail for example.org to Dovecot's LMTP.

Needs root, as Postfix does. It has its own configuration, queue and data folders, and runs in the foreground.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from atexit import register
from contextlib import suppress

import pytest

from tests.servers.absent import absent
from tests.servers.dovecot import Dovecot, start_dovecot
from tests.servers.ports import free_port, short_folder, wait_for_port

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}, /dev/stdout
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.org
mydestination =
local_transport = error:no local mail here
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = example.org
virtual_mailbox_maps =
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
recipient_delimiter = +
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = reject_unauth_destination, permit
smtpd_tls_security_level = none
smtp_dns_support_level = disabled
default_transport = error:no mail leaves this machine
message_size_limit = 52428800
minimal_backoff_time = 300s
"""

_MASTER = """
127.0.0.1:{smtp} inet n - n - - smtpd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
error     unix - - n - - error
retry     unix - - n - - error
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """A running Postfix; `port` takes mail for example.org without authentication."""

    def __init__(self, program: str, dovecot: Dovecot) -> None:
        self.port = free_port()
        self.folder = short_folder("postfix")
        config = self.folder / "config"
        for name in ("config", "queue", "data"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        (config / "main.cf").write_text(_MAIN.format(folder=self.folder, lmtp=dovecot.lmtp_port))
        (config / "master.cf").write_text(_MASTER.format(smtp=self.port))
        with (self.folder / "stdout").open("ab") as output:
            self._process = subprocess.Popen(
                [program, "-c", str(config), "start-fg"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._stop = [program, "-c", str(config), "stop"]
        if not wait_for_port(self.port):
            self.stop()
            pytest.fail(f"Postfix did not start: {self.log()}", pytrace=False)

    def stop(self) -> None:
        with suppress(subprocess.SubprocessError):
            subprocess.run(self._stop, check=False, capture_output=True, timeout=10)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        paths = [self.folder / "stdout", self.folder / "maillog"]
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in paths if path.exists())


@functools.cache
def running() -> Postfix | None:
    program = shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None or os.geteuid() != 0:
        return None
    server = Postfix(program, start_dovecot())
    register(server.stop)
    return server


def start_postfix() -> Postfix:
    """The Postfix of this process; skips the test where there is none."""
    return running() or absent("postfix, run as root")


@pytest.fixture(scope="session")
def postfix() -> Postfix:
    return start_postfix()
