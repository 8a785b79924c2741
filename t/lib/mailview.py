"""mailview - what IMAP shows of a mailbox, to be compared with what it shows
of another or at another time."""
import tap


def contents(m, box):
    """(uidvalidity, uidnext, [(uid, flags, date, bytes)]); box: as it is
    said on the wire. None: it was never used and has nothing to keep."""
    tap.eq(m.select(box, readonly=True)[0], "OK", box)
    validity = m.response("UIDVALIDITY")[1]
    uidnext = m.response("UIDNEXT")[1]
    mails = []
    for part in m.uid("FETCH", "1:*",
                      "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
        if isinstance(part, tuple):
            head = part[0].decode()
            flags = head.split("FLAGS (")[1].split(")")[0].split()
            mails.append((
                int(head.split("UID ")[1].split()[0]),
                sorted(f for f in flags if f != r"\Recent"),
                head.split('INTERNALDATE "')[1].split('"')[0],
                part[1]))
    return (validity, uidnext, mails) if mails else None
