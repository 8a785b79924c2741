"""searches - words in mail, beside Dovecot: rows of mailboxes.py.

"frequent" is in each message, "some" in one of about forty, "rare" in a few.
The last row is a word of two bytes."""
TEXT = 20

# name, mailbox, command, how many times Dovecot's speed is wanted
SEARCHING = [
    ("SEARCH TEXT, rare", "INBOX", "UID SEARCH TEXT quetzalcoatl", TEXT),
    ("SEARCH TEXT, none", "INBOX", "UID SEARCH TEXT cuauhtemoc", TEXT),
    ("SEARCH TEXT, some", "INBOX", "UID SEARCH TEXT \"harbour letter\"",
     TEXT),
    ("SEARCH TEXT, frequent", "INBOX", "UID SEARCH TEXT harbour", TEXT),
    ("SEARCH BODY, rare", "INBOX", "UID SEARCH BODY quetzalcoatl", TEXT),
    ("SEARCH BODY, none", "INBOX", "UID SEARCH BODY cuauhtemoc", TEXT),
    ("SEARCH BODY, frequent", "INBOX", "UID SEARCH BODY harbour", TEXT),
    ("SEARCH NOT BODY", "INBOX", "UID SEARCH NOT BODY harbour", TEXT),
    ("SEARCH BODY, short", "INBOX", "UID SEARCH BODY qz", TEXT),
]
