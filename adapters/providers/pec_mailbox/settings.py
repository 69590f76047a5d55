"""What an account says about its PEC mailbox and its submission server; nothing secret."""

from __future__ import annotations

from adapters.providers.mailbox_settings import Mailbox, Port, Security, check_way

SMTP_PORTS: dict[Security, int] = {"tls": 465, "starttls": 587, "plain": 587}


class Settings(Mailbox, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A PEC mailbox that is read, or sent from, or both.

    Attributes:
        address: the certified address itself; what is sent comes from it unless the submission names another.
        smtp_host: "" = nothing is sent from here.
        smtp_port: 0 = the usual one of `smtp_security`.
    """

    address: str = ""
    smtp_host: str = ""
    smtp_port: Port = 0
    smtp_security: Security = "tls"

    def __post_init__(self) -> None:
        """Refuse an unprotected way to either server."""
        super().__post_init__()
        check_way("smtp", self.smtp_host, self.smtp_security, is_allowed=self.allow_plain_mail)
