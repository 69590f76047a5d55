"""A fictional day of an organisation that sends by all five providers: raw inputs, the same for the same seed.

Only invents what arrives: provider answers, webhooks, receipts and a list of past sends, as bytes. What becomes of them is not known here.
Names and addresses are made up (.example domains, drama numbers); the shapes are those of the provider folders.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
import random
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from adapters.records import encode
from ledger.observations import Arrival, ArrivalKind

DAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SMS_KEY, SMS_SECRET = "wk_DEMO0000000001", b"demo secret of the text message webhooks"
POST_KEY, POST_SECRET = "first", b"demo secret of the post webhooks"
ACCOUNTS = {
    "sms": "kpn_sms",
    "registered": "kpn_registered_email",
    "fax": "kpn_cloud_fax",
    "post": "ekopost",
    "pec-massiva": "pec_massiva",
    "pec": "pec_mailbox",
}
KEYS = {"sms": (SMS_KEY, SMS_SECRET), "post": (POST_KEY, POST_SECRET)}
FIRST = ("Anna", "Bram", "Chiara", "Daan", "Elin", "Fatima", "Giulia", "Hugo", "Ines", "Jonas", "Karin", "Luca")
LAST = ("Visser", "Bianchi", "Lindgren", "de Boer", "Ricci", "Åkesson", "Jansen", "Moretti", "Nyström", "Bakker")
SUBJECTS = ("Notice of arrears", "Policy amendment", "Termination of lease", "Annual statement", "Tax assessment")

Files = dict[str, bytes]


class Day:
    """Makes the inputs of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  a story, not a secret
        self.files: Files = {}

    def make(self) -> Files:
        """All inputs: path below the folder of inputs -> bytes."""
        self.files = {}
        self._text_messages()
        self._registered_emails()
        self._faxes()
        self._letters()
        self._mass_mailing()
        self._certified_mail()
        self.files["unreadable.json"] = b'{"a file": "that no provider wrote"'
        return self.files

    # --- small things

    def person(self) -> tuple[str, str]:
        first, last = self.random.choice(FIRST), self.random.choice(LAST)
        local = f"{first}.{last}".lower().replace(" ", "").replace("å", "a").replace("ö", "o")
        return f"{first} {last}", f"{local}{self.random.randint(1, 99)}"

    def phone(self) -> str:
        return f"06{self.random.randint(10_000_000, 59_999_999)}"

    def uuid(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def at(self, minutes: float) -> datetime:
        """A moment of the day, with seconds that nobody would invent."""
        return DAY + timedelta(minutes=minutes, seconds=self.random.randint(0, 59))

    def document(self, name: str) -> tuple[str, str]:
        return name, b64encode(f"{name} {self.random.random()}\n".encode()).decode()

    def write(self, name: str, arrivals: list[Arrival]) -> None:
        """Arrivals in no particular order, as life has it."""
        self.random.shuffle(arrivals)
        self.files[name] = b"".join(encode(a) + b"\n" for a in arrivals)

    def answer(self, account: str, operation: str, at: datetime, body: Any, **more: Any) -> Arrival:
        """A provider's answer to a call of ours."""
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False, indent=1).encode()
        request = more.pop("request", None)
        return Arrival(
            provider=ACCOUNTS[account],
            account=account,
            operation=operation,
            kind=more.pop("kind", ArrivalKind.POLL),
            observed_at=at,
            body=data,
            status=more.pop("status", 200),
            request=None if request is None else json.dumps(request, ensure_ascii=False).encode(),
            **more,
        )

    # --- KPN SMS

    def _text_messages(self) -> None:
        arrivals: list[Arrival] = []
        reports: tuple[tuple[int, str | None], ...] = (
            (1, None),
            (1, None),
            (4, "006"),
            (6, "024"),
            (5, "018"),
            (77, None),
            (0, None),
        )
        for number, (status, error) in enumerate(reports):
            document, phone = self.uuid(), self.phone()
            at = self.at(5 + 7 * number)
            request = {
                "sender": "City",
                "messages": [{"content": "Your appointment is tomorrow at 9.", "mobile_number": phone}],
            }
            arrivals.append(self.answer("sms", "send", at, {"document_id": document, "status": "OK"}, request=request))
            spelled = f"316{phone[2:]}"
            if status:  # the last one never gets a report: accepted is then all that is known
                arrivals += [self._report(document, spelled, 3, None, at + timedelta(seconds=2))]
                arrivals += [self._report(document, spelled, status, error, at + timedelta(seconds=40))] * (
                    3 if number == 0 else 1
                )
            if number == 1:  # delivered, then said to have failed: somebody must settle that
                arrivals.append(self._report(document, spelled, 4, "001", at + timedelta(minutes=9)))
        lost = self._report(self.uuid(), "", 1, None, self.at(70))
        arrivals.append(lost)  # a report of a send that nobody told us of
        refused = {"errorResponse": {"code": "401", "message": "Unauthorized", "info": "https://developer.example"}}
        request = {"sender": "City", "messages": [{"content": "Reminder", "mobile_number": self.phone()}]}
        arrivals.append(self.answer("sms", "send", self.at(80), refused, status=401, request=request))
        self.write("sms.ndjson", arrivals)

    def _report(self, document: str, phone: str, status: int, error: str | None, at: datetime) -> Arrival:
        body = {
            "DLRID": document,
            "MessageType": "sms",
            "RecipientPhonenumber": phone,
            "Status": status,
            "ErrorCode": error,
        }
        body |= {"StatusDateTime": int(at.timestamp())}
        data = json.dumps({k: v for k, v in body.items() if v != ""}).encode()
        headers = {
            "content-type": "application/json",
            "x-kpn-webhook-signature": hmac.digest(SMS_SECRET, data, "sha256").hex(),
            "x-kpn-webhook-timestamp": str(int(at.timestamp()) + 1),
            "x-kpn-webhook-key-id": SMS_KEY,
            "x-kpn-webhook-attempt": "1",
        }
        return self.answer(
            "sms",
            "webhook.dlr",
            at + timedelta(seconds=2),
            data,
            kind=ArrivalKind.WEBHOOK,
            headers=headers,
            status=None,
        )

    # --- KPN Registered E-mail

    def _registered_emails(self) -> None:
        arrivals: list[Arrival] = []
        for number in range(3):
            name, local = self.person()
            address, token = f"{local}@mail.example", f"K.{self.random.getrandbits(30):x}-d"
            subject, at = self.random.choice(SUBJECTS), self.at(15 + 20 * number)
            file, content = self.document("notice.pdf")
            request = {
                "message_body": f"Dear {name}, see the attachment.",
                "sender_email": "registry@city.example",
                "sender_real_name": "City Registry",
                "subject": subject,
                "recipient_email": address,
                "x-own-guid": self.uuid(),
                "x-own-campaign": "arrears-march",
                "attachments": [{"attachment": content, "attachment_name": file, "attachment_type": "application/pdf"}],
            }
            url = f"https://city.aangetekendmailen.example/?ticket_token={token}&action=ticket_html&lang=nl"
            answer = {"ticket_token": token, "ticket_url": url, "message": "OK"}
            arrivals.append(self.answer("registered", "send", at, answer, request=request))
            rows = [(at + timedelta(hours=3), "95", "Herinnering aangetekende mail verstuurd")] * (number > 0)
            rows += [(at + timedelta(hours=1), "40", "Een status die nergens beschreven staat")] * (number == 2)
            polled = self._biljet(token, address, subject, rows, accepted=number == 1)
            arrivals.append(self.answer("registered", "biljet", at + timedelta(hours=4), polled))
        self.write("registered-email.ndjson", arrivals)

    def _biljet(
        self, token: str, address: str, subject: str, rows: list[tuple[datetime, str, str]], *, accepted: bool
    ) -> bytes:
        statuses = "".join(
            f'<status statusdatumtijd="{at:%Y-%m-%d %H:%M:%S}" statusomschrijving="{text}" statuscode="{code}" statusdetail=" "/>\n'
            for at, code, text in rows
        )
        digest = b64encode(hashlib.sha256(token.encode()).digest()).decode()
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<biljetten><biljet id="{token}" afzender="registry@city.example" '
            f'ontvanger="{address}" onderwerp="{subject}" customer_id="1001" taal="nl" handtekening_nodig="0">\n'
            f'<bijlagen><bijlage bijlage="notice.pdf" hash="{digest}" geaccepteerd="{int(accepted)}"/></bijlagen>\n'
            f"<statussen>\n{statuses}</statussen></biljet></biljetten>\n"
        ).encode()

    # --- KPN Cloud Fax

    def _faxes(self) -> None:
        arrivals: list[Arrival] = []
        outcomes: tuple[dict[str, Any], ...] = (
            {"status": "Delivered", "pagesSent": 3},
            {"status": "Failed", "errorCode": "busy"},
            {"status": "Zwevend"},
        )
        job, at = f"20260302-{self.random.randint(1, 999_999):06}", self.at(30)
        targets = [f"+31{self.random.randint(20_0000000, 20_9999999)}" for _ in outcomes]
        name, content = self.document("objection.pdf")
        request = {"targets": targets, "subject": "Objection", "documents": [{"name": name, "content": content}]}
        arrivals.append(self.answer("fax", "send", at, {"jobid": job}, status=201, request=request))
        ended = f"{at + timedelta(minutes=4):%Y-%m-%dT%H:%M:%SZ}"
        rows = [{"target": t, **o, "endTime": ended} for t, o in zip(targets, outcomes, strict=True)]
        status = {"jobid": job, "status": "Processing", "pages": 3, "targets": rows}
        path = f"/jobstatus?jobid={job}"
        arrivals += [  # the second poll finds nothing new
            self.answer("fax", "jobstatus", at + timedelta(minutes=m), status, name=path) for m in (6, 8)
        ]
        self.write("fax.ndjson", arrivals)

    # --- Ekopost

    def _letters(self) -> None:
        campaign, at = self.uuid(), self.at(40)
        arrivals: list[Arrival] = []
        envelopes = []
        for number, (state, postage) in enumerate((("posted", "priority"), ("posted", "rek"), ("failed", "economy"))):
            name, _ = self.person()
            envelope = {
                "id": self.uuid(),
                "name": f"Invoice {1180 + number}",
                "address": {
                    "$type": "postal",
                    "name": [name],
                    "street": [f"Exempelgatan {self.random.randint(1, 90)}"],
                    "postal_code": f"{self.random.randint(10_000, 98_499)}",
                    "city": "Göteborg",
                    "country": "SE",
                    "use_coverpage": False,
                },
                "postage": postage,
                "plex": "simplex",
                "color": False,
                "unique_id": f"invoice-{1180 + number}",
                "created_at": f"{at:%Y-%m-%dT%H:%M:%S}",
            }
            path = f"/campaigns/{campaign}/envelopes/{envelope['id']}"
            for step, minutes in (("opened", 0), ("closed", 2), ("transferred", 90)):
                seen = at + timedelta(minutes=minutes)
                told = {**envelope, "state": step, "state_changed_at": f"{seen:%Y-%m-%dT%H:%M:%S}"}
                arrivals.append(self.answer("post", "envelope", seen + timedelta(minutes=1), told, name=path))
            changed = f"{at + timedelta(minutes=300 + number):%Y-%m-%dT%H:%M:%S}"
            failed = "Page 2 could not be printed" if state == "failed" else None
            envelopes.append(
                {"id": envelope["id"], "state": state, "state_changed_at": changed, "failed_reason": failed}
            )
            if postage == "rek":
                tracking = {
                    "parcelNo": f"RR{self.random.randint(0, 999_999_999):09}SE",
                    "trackingState": "DELIVERED",
                    "trackingUrl": "https://tracking.example/",
                }
                told = {**envelope, "state": state, "state_changed_at": changed, "tracking": tracking}
                arrivals.append(self.answer("post", "envelope", at + timedelta(hours=30), told, name=path))
        changed = f"{at + timedelta(minutes=310):%Y-%m-%dT%H:%M:%S}"
        completed = {
            "event": "campaign.completed",
            "campaign_id": campaign,
            "state": "completed",
            "state_changed_at": changed,
        }
        data = json.dumps({**completed, "envelopes": envelopes}).encode()
        headers = {
            "content-type": "application/json",
            "x-ekopost-signature": hmac.digest(POST_SECRET, data, "sha1").hex(),
        }
        webhook = {"kind": ArrivalKind.WEBHOOK, "headers": headers, "status": None}
        arrivals += [self.answer("post", "webhook", at + timedelta(minutes=311), data, **webhook)] * 2
        self.write("post.ndjson", arrivals)

    # --- PEC Massiva

    def _mass_mailing(self) -> None:
        at, people = self.at(50), [f"{self.person()[1]}@pec.example" for _ in range(2)]
        message = f"{at:%Y%m%d%H%M%S}07"
        request = {
            "sender": "comune@pec.city.example",
            "recipient": people[0],
            "subject": "Avviso",
            "body": "<p>Avviso</p>",
        }
        answer = {"success": True, "sent": 1, "message": "", "message_id": message}
        arrivals = [self.answer("pec-massiva", "send", at, answer, status=201, request=request)]
        rows = [
            {
                "sender": "posta-certificata@pec.city.example",
                "recipient": "comune@pec.city.example",
                "date": when,
                kind: text,
                "body": None,
            }
            for when, kind, text in (
                (
                    f"{at + timedelta(seconds=3):%a, %d %b %Y %H:%M:%S +0000}",
                    "subject",
                    f"ACCETTAZIONE: Avviso {message}",
                ),
                (f"{at + timedelta(seconds=9):%a, %d %b %Y %H:%M:%S +0000}", "object", f"CONSEGNA: Avviso {message}"),
            )
        ]
        nothing = {"success": False, "message": "Result empty"}
        path = f"/send/{message}"
        arrivals.append(
            self.answer("pec-massiva", "send_status", at + timedelta(seconds=1), nothing, status=404, name=path)
        )
        told = {"data": rows, "success": True, "message": ""}
        arrivals.append(self.answer("pec-massiva", "send_status", at + timedelta(minutes=10), told, name=path))
        inbox = {
            "data": [{**rows[0], "subject": "POSTA CERTIFICATA: Richiesta", "id": 17}],
            "success": True,
            "total": 1,
            "page": 1,
            "n_of_pages": 1,
        }
        arrivals.append(self.answer("pec-massiva", "inbox", at + timedelta(minutes=11), inbox, name="/inbox?page=1"))
        self.write("pec-massiva.ndjson", arrivals)

    # --- certified mail of any provider

    def _certified_mail(self) -> None:
        late, prompt, moved = (f"{self.person()[1]}@pec.example" for _ in range(3))
        at, message = self.at(60), f"{self.uuid()}@client.city.example"
        receipts: list[tuple[str, str, str, str, datetime]] = [
            ("accettazione", "nessuno", "", "", at),
            ("avvenuta-consegna", "nessuno", prompt, "", at + timedelta(seconds=20)),
            (
                "errore-consegna",
                "no-dest",
                moved,
                "5.1.1 - City Posta - indirizzo non valido",
                at + timedelta(seconds=25),
            ),
            (
                "preavviso-errore-consegna",
                "altro",
                late,
                "4.4.1 - City Posta - non consegnato nelle prime 12 ore",
                at + timedelta(hours=12),
            ),
            (
                "preavviso-errore-consegna",
                "altro",
                late,
                "5.4.1 - City Posta - non consegnato nelle 24 ore",
                at + timedelta(hours=24),
            ),
        ]
        for number, (kind, error, recipient, text, when) in enumerate(receipts):
            mail = self._receipt(
                kind, error, recipient, text, at=when, message=message, recipients=(late, prompt, moved)
            )
            self.files[f"pec/{number + 1:02}-{kind}.eml"] = mail
        self.files["pec/06-the-same-again.eml"] = (
            b"X-Forwarded: from the archive\r\n" + self.files["pec/02-avvenuta-consegna.eml"]
        )
        orphan, known_later = f"{self.uuid()}@client.city.example", f"{self.person()[1]}@pec.example"
        self.files["pec/07-avvenuta-consegna.eml"] = self._receipt(
            "avvenuta-consegna",
            "nessuno",
            known_later,
            "",
            at=at + timedelta(minutes=5),
            message=orphan,
            recipients=(known_later,),
        )
        sheet = io.StringIO()
        rows = csv.writer(sheet)
        rows.writerow(("account", "provider", "recipient", "sent_at", "reference", "subject", "label"))
        rows.writerow(
            (
                "pec",
                "pec_mailbox",
                f"{late};{prompt};{moved}",
                at.isoformat(),
                f"msgid:{message}",
                "Bando di gara",
                "case 2026-17",
            )
        )
        rows.writerow(
            (
                "pec",
                "pec_mailbox",
                known_later,
                (at + timedelta(minutes=4)).isoformat(),
                f"msgid:{orphan}",
                "Diffida",
                "case 2026-18",
            )
        )
        self.files["sent.csv"] = sheet.getvalue().encode()

    def _receipt(
        self,
        kind: str,
        error: str,
        recipient: str,
        text: str,
        *,
        at: datetime,
        message: str,
        recipients: tuple[str, ...],
    ) -> bytes:
        """A receipt as RFC 6109 lays it out; its signature part is a placeholder, and the wire module says so."""
        local = at + timedelta(hours=1)
        listed = "".join(f'<destinatari tipo="certificato">{r}</destinatari>' for r in recipients)
        optional = (f"<consegna>{recipient}</consegna>" if recipient else "") + (
            f"<errore-esteso>{text}</errore-esteso>" if text else ""
        )
        daticert = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<postacert tipo="{kind}" errore="{error}"><intestazione>'
            f"<mittente>comune@pec.city.example</mittente>{listed}<risposte>comune@pec.city.example</risposte>"
            f"<oggetto>Bando di gara</oggetto></intestazione><dati><gestore-emittente>City Posta S.p.A.</gestore-emittente>"
            f'<data zona="+0100"><giorno>{local:%d/%m/%Y}</giorno><ora>{local:%H:%M:%S}</ora></data>'
            f"<identificativo>opec.{message.partition('@')[0]}@pec.city.example</identificativo>"
            f"<msgid>&lt;{message}&gt;</msgid>{optional}</dati></postacert>\n"
        )
        lines = (
            f"X-Ricevuta: {kind}",
            f"X-Riferimento-Message-ID: <{message}>",
            f"Date: {local:%a, %d %b %Y %H:%M:%S} +0100",
            "From: posta-certificata@pec.city.example",
            "To: comune@pec.city.example",
            f"Subject: {SUBJECT_PREFIX[kind]}: Bando di gara",
            f"Message-ID: <{self.uuid()}@pec.city.example>",
            "MIME-Version: 1.0",
            'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=signed',
            "",
            "--signed",
            "Content-Type: multipart/mixed; boundary=mixed",
            "",
            "--mixed",
            "Content-Type: text/plain; charset=utf-8",
            "",
            "Ricevuta",
            "--mixed",
            'Content-Type: application/xml; name="daticert.xml"',
            "Content-Transfer-Encoding: base64",
            "",
            b64encode(daticert.encode()).decode(),
            "--mixed--",
            "--signed",
            'Content-Type: application/pkcs7-signature; name="smime.p7s"',
            "Content-Transfer-Encoding: base64",
            "",
            "AAAA",
            "--signed--",
            "",
        )
        return "\r\n".join(lines).encode()


SUBJECT_PREFIX: Mapping[str, str] = {
    "accettazione": "ACCETTAZIONE",
    "avvenuta-consegna": "CONSEGNA",
    "errore-consegna": "AVVISO DI MANCATA CONSEGNA",
    "preavviso-errore-consegna": "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO",
}
