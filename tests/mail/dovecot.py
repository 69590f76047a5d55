"""A private Dovecot for tests: real folders, UIDs, flags and quotas, by TLS, STARTTLS and without either; it ends with the block.

Any user gets in with PASSWORD and has a mailbox of their own, which is made when they first come. Dovecot drops its rights, so where the
tests run as root it belongs to an unprivileged account.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from imapclient import IMAPClient

from tests.mail.authority import server_certificate

NO_DOVECOT = "Dovecot (Debian: dovecot-imapd) is not installed"
PASSWORD = "chiave-segrèta/42"
LIMIT_KIB = 204_800
READY_WITHIN_S = 20

CONFIG = """\
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{home}/server.pem
ssl_key = <{home}/server.key
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_username_format = %n
mail_location = maildir:~/Maildir
mail_fsync = never
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/mail/%n
}}
namespace inbox {{
  inbox = yes
  mailbox Inviata {{
    auto = create
    special_use = \\Sent
  }}
}}
protocol imap {{
  mail_plugins = quota imap_quota
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:storage={limit}M
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
    ssl = yes
  }}
}}
"""


class Dovecot(NamedTuple):
    """A running server on 127.0.0.1.

    Attributes:
        plain: port without TLS at first; STARTTLS is offered.
        ca_file: PEM file of the authority that vouches for `localhost`.
    """

    plain: int
    tls: int
    ca_file: str

    @contextlib.contextmanager
    def person(self, user: str, folder: str = "INBOX") -> Iterator[IMAPClient]:
        """Somebody who works in the mailbox with a mail program, the folder opened for writing; or the provider who delivers."""
        with IMAPClient("127.0.0.1", self.plain, ssl=False) as client:
            client.plain_login(user, PASSWORD)
            if not client.folder_exists(folder):
                client.create_folder(folder)
            client.select_folder(folder)
            yield client

    def deliver(self, user: str, mails: Sequence[bytes], folder: str = "INBOX") -> None:
        with self.person(user, folder) as client:
            client.multiappend(folder, list(mails))


@contextlib.contextmanager
def private_dovecot() -> Iterator[Dovecot]:
    """Run a server until the end of the block."""
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    home = Path(tempfile.mkdtemp(prefix="dovecot-"))
    plain, tls = _free_ports(2)
    try:
        ca_file = server_certificate(home)
        (home / "mail").mkdir()
        (home / "dovecot.conf").write_text(_config(home, account, plain, tls))
        for path in (home, *home.rglob("*")):
            shutil.chown(path, account.pw_uid, account.pw_gid)
        with _running(home, account):
            _await(home, plain)
            yield Dovecot(plain, tls, str(ca_file))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _config(home: Path, account: pwd.struct_passwd, plain: int, tls: int) -> str:
    return CONFIG.format(
        home=home,
        user=account.pw_name,
        group=grp.getgrgid(account.pw_gid).gr_name,
        uid=account.pw_uid,
        gid=account.pw_gid,
        password=PASSWORD,
        limit=LIMIT_KIB // 1024,
        plain=plain,
        tls=tls,
    )


@contextlib.contextmanager
def _running(home: Path, account: pwd.struct_passwd) -> Iterator[None]:
    us = account.pw_uid == os.geteuid()
    other: dict[str, Any] = {} if us else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    program = shutil.which("dovecot", path=f"{os.defpath}:/usr/sbin") or "dovecot"
    # The shell reads until its input closes, which the kernel sees to however we die.
    command = ["sh", "-c", '"$0" -F -c "$1" & cat; kill $!; wait', program, str(home / "dovecot.conf")]
    with (
        (home / "said").open("wb") as said,
        subprocess.Popen(
            command, cwd="/", stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True, **other
        ),
    ):
        yield


def _await(home: Path, port: int) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            if connection.recv(4) == b"* OK":
                return
        time.sleep(0.02)  # a process of another program starts; there is nothing to wait on
    said = [path.read_text(errors="replace") for path in (home / "said", home / "log") if path.exists()]
    msg = f"Dovecot did not start: {said}"
    raise RuntimeError(msg)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
