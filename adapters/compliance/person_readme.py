"""README.txt of the package about one person, in four languages: what it holds, what it leaves out and why, and how to check it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Told(NamedTuple):
    """What the text says of one package.

    Attributes:
        withheld: reason (as in `adapters.evidence.originals.WITHHELD`) -> how many originals were left out for it.
    """

    address: str
    tenant: str
    asked_at: str
    position: int
    root: str
    messages: int
    deliveries: int
    originals: int
    withheld: Mapping[str, int]


class _Words(NamedTuple):
    """The words of one language; `reasons` says why originals stay out."""

    text: str
    nothing: str
    none_withheld: str
    reasons: Mapping[str, str]


_CHECK = "    sha256sum -c SHA256SUMS"

_EN = _Words(
    text="""\
What is held about one person
=============================

address      {address}
held by      {tenant}
as of        {asked_at}, position {position} of the log, root {root}

{found}

What lies here
--------------
person.json                 this page for programs
messages/0001/status.json   a message: where its deliveries to this address are, why, and how well that is proven
messages/0001/trail.json    every event of it, with the values that concern this person or nobody in particular
messages/0001/originals.json, messages/0001/receipts/ …
                            the provider's original bytes, as they came
messages/0001/access.json   who looked at the message or exported it, and when
SHA256SUMS                  a digest of every file; check them with:

{check}

What does not lie here
----------------------
- What concerns other people. An original cannot be cut: one that names somebody else, or other messages, was left out.
{withheld}
- Messages that name this person by something else than a recipient's address, or by another address. Ask for each address.
- What was erased: nobody can read it any more.
- Arrivals that no message could be found for. They wait for a person, and nobody knows whom they are about.
- Copies that were handed out before; access.json says when.

That this package was made is recorded in the log, with the digest of SHA256SUMS.
""",
    nothing="Nothing is held under this address.",
    none_withheld="  No original was left out.",
    reasons={
        "secret": "carry a secret by the provider's contract",
        "erased": "their key was destroyed",
        "missing": "are kept in files that are gone, though nothing was erased",
        "untied": "the digest that ties them to the log was erased",
        "other_messages": "tell of other messages too",
        "other_persons": "name somebody else",
        "unsearchable": "hold parts in which nobody can look for other people's names",
        "protected": "name, or may name, somebody whose identity is protected",
        "erased_person": "tell of somebody who was erased, and are kept for somebody else's sake",
    },
)

_IT = _Words(
    text="""\
Che cosa è conservato su una persona
====================================

indirizzo    {address}
titolare     {tenant}
alla data    {asked_at}, posizione {position} del registro, radice {root}

{found}

Che cosa c'è qui
----------------
person.json                 questa pagina per i programmi
messages/0001/status.json   un messaggio: a che punto sono le consegne a questo indirizzo, perché, e quanto è provato
messages/0001/trail.json    ogni suo evento, con i valori che riguardano questa persona o nessuno in particolare
messages/0001/originals.json, messages/0001/receipts/ …
                            i byte originali del fornitore, come sono arrivati
messages/0001/access.json   chi ha consultato o esportato il messaggio, e quando
SHA256SUMS                  un'impronta di ogni file; per controllarle:

{check}

Che cosa non c'è
----------------
- Ciò che riguarda altre persone. Un originale non si può tagliare: quello che nomina altri, o altri messaggi, è stato escluso.
{withheld}
- Messaggi che nominano questa persona in altro modo che con l'indirizzo di un destinatario, o con un altro: va chiesto ogni indirizzo.
- Ciò che è stato cancellato: nessuno può più leggerlo.
- Arrivi per i quali non si è trovato un messaggio. Attendono una persona, e nessuno sa chi riguardino.
- Copie consegnate in precedenza; access.json dice quando.

Che questo pacchetto è stato fatto è scritto nel registro, con l'impronta di SHA256SUMS.
""",
    nothing="Sotto questo indirizzo non è conservato nulla.",
    none_withheld="  Nessun originale è stato escluso.",
    reasons={
        "secret": "contengono un segreto per contratto del fornitore",
        "erased": "la loro chiave è stata distrutta",
        "missing": "sono conservati in file che non ci sono più, benché nulla sia stato cancellato",
        "untied": "l'impronta che li lega al registro è stata cancellata",
        "other_messages": "parlano anche di altri messaggi",
        "other_persons": "nominano qualcun altro",
        "unsearchable": "contengono parti in cui nessuno può cercare i nomi di altri",
        "protected": "nominano, o potrebbero nominare, qualcuno la cui identità è protetta",
        "erased_person": "parlano di qualcuno che è stato cancellato e sono conservati per un'altra persona",
    },
)

_NL = _Words(
    text="""\
Wat er over één persoon wordt bewaard
=====================================

adres        {address}
bewaard door {tenant}
per          {asked_at}, positie {position} van het logboek, wortel {root}

{found}

Wat hier ligt
-------------
person.json                 deze bladzijde voor programma's
messages/0001/status.json   een bericht: waar de bezorgingen aan dit adres zijn, waarom, en hoe goed dat is bewezen
messages/0001/trail.json    elke gebeurtenis ervan, met de waarden die deze persoon of niemand in het bijzonder betreffen
messages/0001/originals.json, messages/0001/receipts/ …
                            de originele bytes van de aanbieder, zoals ze kwamen
messages/0001/access.json   wie het bericht heeft bekeken of uitgevoerd, en wanneer
SHA256SUMS                  een vingerafdruk van elk bestand; controleer ze met:

{check}

Wat hier niet ligt
------------------
- Wat andere mensen betreft. Een origineel kan niet worden doorgesneden: wat iemand anders of andere berichten noemt, is weggelaten.
{withheld}
- Berichten die deze persoon anders noemen dan met het adres van een ontvanger, of met een ander adres. Vraag elk adres apart.
- Wat is gewist: niemand kan het nog lezen.
- Binnengekomen stukken waarbij geen bericht is gevonden. Ze wachten op een mens, en niemand weet over wie ze gaan.
- Kopieën die eerder zijn verstrekt; access.json zegt wanneer.

Dat dit pakket is gemaakt, staat in het logboek, met de vingerafdruk van SHA256SUMS.
""",
    nothing="Onder dit adres wordt niets bewaard.",
    none_withheld="  Er is geen origineel weggelaten.",
    reasons={
        "secret": "bevatten volgens het contract van de aanbieder een geheim",
        "erased": "hun sleutel is vernietigd",
        "missing": "worden bewaard in bestanden die weg zijn, hoewel er niets is gewist",
        "untied": "de vingerafdruk die ze aan het logboek bindt, is gewist",
        "other_messages": "gaan ook over andere berichten",
        "other_persons": "noemen iemand anders",
        "unsearchable": "bevatten delen waarin niemand naar namen van anderen kan zoeken",
        "protected": "noemen iemand wiens identiteit is afgeschermd, of doen dat misschien",
        "erased_person": "gaan over iemand die is gewist en worden bewaard voor iemand anders",
    },
)

_SV = _Words(
    text="""\
Vad som finns sparat om en person
=================================

adress       {address}
sparat hos   {tenant}
per          {asked_at}, position {position} i loggen, rot {root}

{found}

Vad som ligger här
------------------
person.json                 den här sidan för program
messages/0001/status.json   ett meddelande: var leveranserna till adressen är, varför, och hur väl det är bevisat
messages/0001/trail.json    varje händelse i det, med de värden som rör denna person eller ingen särskild
messages/0001/originals.json, messages/0001/receipts/ …
                            leverantörens ursprungliga byte, som de kom
messages/0001/access.json   vem som har sett eller exporterat meddelandet, och när
SHA256SUMS                  ett fingeravtryck av varje fil; kontrollera dem med:

{check}

Vad som inte ligger här
-----------------------
- Det som rör andra människor. Ett original kan inte delas: det som nämner någon annan, eller andra meddelanden, har utelämnats.
{withheld}
- Meddelanden som nämner personen på annat sätt än med en mottagares adress, eller med en annan adress. Fråga om varje adress.
- Det som har raderats: ingen kan längre läsa det.
- Sådant som kommit in utan att något meddelande hittades. Det väntar på en människa, och ingen vet vem det rör.
- Kopior som lämnats ut tidigare; access.json säger när.

Att det här paketet har gjorts står i loggen, med fingeravtrycket av SHA256SUMS.
""",
    nothing="Ingenting finns sparat under den här adressen.",
    none_withheld="  Inget original har utelämnats.",
    reasons={
        "secret": "innehåller en hemlighet enligt leverantörens avtal",
        "erased": "deras nyckel har förstörts",
        "missing": "förvaras i filer som är borta, fastän inget har raderats",
        "untied": "fingeravtrycket som binder dem till loggen har raderats",
        "other_messages": "handlar också om andra meddelanden",
        "other_persons": "nämner någon annan",
        "unsearchable": "har delar där ingen kan söka efter andras namn",
        "protected": "nämner, eller kan nämna, någon med skyddade personuppgifter",
        "erased_person": "handlar om någon som har raderats och sparas för någon annans skull",
    },
)

_FOUND = {
    "en": "{messages} messages, {deliveries} deliveries, {originals} originals.",
    "it": "{messages} messaggi, {deliveries} consegne, {originals} originali.",
    "nl": "{messages} berichten, {deliveries} bezorgingen, {originals} originelen.",
    "sv": "{messages} meddelanden, {deliveries} leveranser, {originals} original.",
}
WORDS: Mapping[str, _Words] = {"en": _EN, "it": _IT, "nl": _NL, "sv": _SV}


def readme(language: str, told: Told) -> bytes:
    """The text for one package."""
    words = WORDS[language]
    left = [f"  - {count}: {words.reasons[why]}." for why, count in sorted(told.withheld.items()) if count]
    said = told._asdict()
    said["address"] = "".join(c if c.isprintable() else " " for c in told.address)
    said["found"] = _FOUND[language].format(**said) if told.deliveries else words.nothing
    said["withheld"] = "\n".join(left) or words.none_withheld
    return words.text.format(**said, check=_CHECK).encode()
