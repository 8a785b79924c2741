"""arcsign - ARC sets as a test wants them (RFC 8617): right ones, and ones in
which a tag is changed before it is signed, so that only that is wrong."""
import base64
import hashlib
import re

from dkim.crypto import RSASSA_PKCS1_v1_5_sign, parse_pem_private_key

AAR, AMS, SEAL = ("ARC-Authentication-Results", "ARC-Message-Signature",
                  "ARC-Seal")


def split(message):
    """([(name, value)], body), values as behind the colon."""
    head, _, body = message.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    return [tuple(f.split(b":", 1)) for f in fields], body


def relaxed(name, value):
    value = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name.lower().strip() + b":" + value + b"\r\n"


def relaxed_body(body):
    lines = [re.sub(rb"[ \t]+", b" ", li).rstrip(b" ")
             for li in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(li + b"\r\n" for li in lines)


def tag_list(tags, changes):
    tags = dict(tags)
    tags.update(changes or {})
    return "; ".join("%s=%s" % t for t in tags.items() if t[1] is not None)


def fill_in(text, signature):
    return re.sub(r"(^|; )b=(?=;|$)", lambda m: m.group(0) + signature, text)


class Signer:
    def __init__(self, pem, domain, selector):
        self.key = parse_pem_private_key(pem)
        self.domain, self.selector = domain, selector

    def sign(self, data):
        return base64.b64encode(RSASSA_PKCS1_v1_5_sign(
            hashlib.sha256(data), self.key)).decode()

    def tags(self, instance):
        return {"i": instance, "a": "rsa-sha256", "d": self.domain,
                "s": self.selector, "t": 1764057600}

    def message_signature(self, message, instance, changes, names):
        fields, body = split(message)
        canon = relaxed_body(body)
        tags = dict(self.tags(instance), c="relaxed/relaxed", h=names,
                    bh=base64.b64encode(hashlib.sha256(canon).digest())
                    .decode(), b="")
        text = tag_list(tags, changes)
        data, used = b"", {}
        for name in re.split(r"\s*:\s*", dict(tags, **(changes or {}))["h"]
                             or ""):
            name = name.lower().encode()
            same = [f for f in fields if f[0].lower() == name]
            at = len(same) - 1 - used.get(name, 0)
            used[name] = used.get(name, 0) + 1
            if at >= 0:
                data += relaxed(*same[at])
        data += relaxed(AMS.encode(), text.encode())[:-2]
        if (changes or {}).get("b", "") is None or "b" in (changes or {}):
            return text
        return fill_in(text, self.sign(data))

    def seal(self, sets, instance, cv, changes):
        """sets: the texts of all sets up to ours, our seal left out."""
        text = tag_list(dict(self.tags(instance), cv=cv, b=""), changes)
        data = b"".join(relaxed(n.encode(), v.encode()) for n, v in sets)
        data += relaxed(SEAL.encode(), text.encode())[:-2]
        if "b" in (changes or {}):
            return text
        return fill_in(text, self.sign(data))

    def add(self, message, before=(), cv=None, results="spf=pass", ams=None,
            seal=None, names="from:to:subject:date"):
        """The message with one more set on top, and all sets so far in
        order. before: what add gave as second for the message."""
        instance = len(before) // 3 + 1
        aar = "i=%d; %s; %s" % (instance, self.domain, results)
        sets = list(before) + [(AAR, aar), (AMS, self.message_signature(
            message, instance, ams, names))]
        text = self.seal(sets, instance, cv or ("pass" if before else "none"),
                         seal)
        sets.append((SEAL, text))
        top = "".join("%s: %s\r\n" % s for s in reversed(sets[-3:]))
        return top.encode() + message, sets
