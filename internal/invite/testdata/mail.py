#!/usr/bin/env python3
"""Puts the invitation of vectors.json into e-mails, as Python's email package
and its policies encode them, into mail/*.eml.

    python3 mail.py
"""
import email.mime.message, email.mime.multipart, email.policy, json, os, textwrap
from email.message import EmailMessage

here = os.path.dirname(os.path.abspath(__file__))
line = json.load(open(os.path.join(here, "vectors.json")))["line"]
words = "Liebe Kolleginnen und Kollegen,\n\nbitte prüfen Sie die Wege zu unserem Server mit dial odyssey:\n\n"
os.makedirs(os.path.join(here, "mail"), exist_ok=True)


def letter(text, cte, charset="utf-8"):
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = "a@example.edu", "b@example.org", "Odyssey-Prüfung"
    m.set_content(text, cte=cte, charset=charset)
    return m


def save(name, m):
    with open(os.path.join(here, "mail", name + ".eml"), "wb") as f:
        f.write(m.as_bytes(policy=email.policy.SMTP))


wrapped = "\n".join(textwrap.wrap(line, 72, break_on_hyphens=True))
whole = words + line + "\n\nFreundliche Grüße\n"
save("quoted-printable", letter(whole, "quoted-printable"))
save("base64", letter(whole, "base64"))
save("utf-16", letter(whole, "base64", "utf-16"))
save("eight-bit", letter(words + wrapped + "\n", "8bit"))
both = letter(whole, "quoted-printable")
both.add_alternative("<html><body><p>Guten Tag &amp; &gt; " + "<br>\n".join(textwrap.wrap(line, 60)) + "</p></body></html>", subtype="html", cte="quoted-printable")
save("alternative", both)
reply = letter("> " + "\n> ".join((words + wrapped).split("\n")) + "\n\nDanke!\n", "quoted-printable")
save("reply", reply)
attached = letter("Siehe Anhang.\n", "quoted-printable")
attached.add_attachment((line + "\r\n").encode(), maintype="application", subtype="octet-stream", filename="invitation.txt")
save("attached", attached)
forwarded = letter("Zur Kenntnis.\n", "quoted-printable")
forwarded.add_attachment(both)
save("forwarded", forwarded)
