#!/usr/bin/python3
"""guide.py - writes docs/plugin-guide.md from docs/plugin-guide.md.in and the
comments of include/mailroom/plugin.h. With --check it only compares.

The header is read as its own comments are laid out: a comment stands above
what it is about and holds for all that follows up to the next one; one behind
a member is about that member alone."""
import os
import re
import sys
import textwrap

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADER = os.path.join(ROOT, "include/mailroom/plugin.h")
TEMPLATE = os.path.join(ROOT, "docs/plugin-guide.md.in")
GUIDE = os.path.join(ROOT, "docs/plugin-guide.md")

COMMENT = re.compile(r"/\*(.*?)\*/", re.S)
# A comment by itself, a declaration up to its ';' or ',' with what follows.
PIECE = re.compile(r"\s*(?:/\*(?P<comment>.*?)\*/|(?P<code>[^;/]+;)"
                   r"(?P<behind>[ \t]*/\*.*?\*/)?)", re.S)
ENUM = re.compile(r"(?P<name>MR_\w+)[^,/]*,?\s*(?:/\*(?P<text>.*?)\*/)?", re.S)


def plain(comment):
    """Words of a comment without its stars, one line."""
    lines = [re.sub(r"^\s*\*? ?", "", line) for line in comment.split("\n")]
    return " ".join(" ".join(lines).split())


def wrapped(text):
    return textwrap.fill(text, 79, break_long_words=False,
                         break_on_hyphens=False)


def code(text):
    lines = [" ".join(line.split()) for line in text.strip().split("\n")]
    return "\n".join("    " + ("    " if i else "") + line
                     for i, line in enumerate(lines))


def pieces(body):
    """(comment, [(declaration, comment behind it)]) for each group."""
    groups, at = [], 0
    for m in PIECE.finditer(body):
        if m.group("comment") is not None:
            groups.append((plain(m.group("comment")), []))
            continue
        if not groups:
            groups.append(("", []))
        behind = m.group("behind")
        groups[-1][1].append((m.group("code").strip(), plain(
            COMMENT.search(behind).group(1)) if behind else ""))
    return [g for g in groups if g[1]]


def name_of(declaration):
    called = re.search(r"\(\*\s*(\w+)\)", declaration)
    return called.group(1) if called else re.findall(
        r"\w+", declaration.rstrip(";"))[-1]


def section_of_group(text, members):
    """A heading, the declarations, what is said of them."""
    out = ["### " + ", ".join("`%s`" % name_of(d) for d, _ in members), ""]
    for declaration, behind in members:
        out.append(code(re.sub(r"\(\*\s*(\w+)\)", r"\1", declaration, count=1)))
    for declaration, behind in members:
        if behind:
            out += ["", wrapped("`%s`: %s" % (name_of(declaration), behind))]
    if text:
        out += ["", wrapped(text)]
    return "\n".join(out)


def struct_body(header, name):
    return re.search(r"\nstruct %s \{\n(.*?)\n\};" % name, header,
                     re.S).group(1)


def comment_above(header, place):
    """The comment that ends right above, or ""."""
    above = header[:place].rstrip()
    if not above.endswith("*/"):
        return ""
    return plain(above[above.rindex("/*") + 2:-2])


def called(header, name):
    """The groups of a struct, functions alone."""
    for text, members in pieces(struct_body(header, name)):
        members = [m for m in members if "(*" in m[0]]
        if members:
            yield text, members


def functions(header, name):
    """Sections of the functions of a struct."""
    return "\n\n".join(section_of_group(text, members)
                       for text, members in called(header, name))


def table(rows):
    out = ["| name | what it means |", "|---|---|"]
    return "\n".join(out + ["| `%s` | %s |" % (name, text.replace("|", "\\|"))
                            for name, text in rows])


def enum_table(header, name):
    body = re.search(r"\nenum %s \{\n(.*?)\n\};" % name, header, re.S)
    said = comment_above(header, body.start() + 1)
    rows = [(m.group("name"), plain(m.group("text") or ""))
            for m in ENUM.finditer(body.group(1))]
    return (wrapped(said) + "\n\n" if said else "") + table(rows)


def define_table(header, prefix):
    rows = re.findall(r"#define (%s\w+) \S+(?:[ \t]*/\*(.*?)\*/)?" % prefix,
                      header, re.S)
    return table([(name, plain(text)) for name, text in rows])


def roles(header):
    """(name, text) of the struct that each "Role:" comment is about, but for
    the filter, which has a section of its own."""
    for m in re.finditer(r"/\* Role: (.*?)\*/", header, re.S):
        name = next(s.group(1) for s in re.finditer(
            r"\nstruct (mr_\w+) \{(.*?)\n\};", header[m.end():], re.S)
            if "(*" in s.group(2))
        yield name, plain(m.group(1))


def sections(header):
    out = ["## Verdicts\n\n" + enum_table(header, "mr_verdict"),
           "## Hooks of a filter\n\n" + functions(header, "mr_filter"),
           "## What a filter says of itself\n\n" + "\n\n".join(
               "`%s`:\n\n%s" % (field, define_table(header, prefix))
               for field, prefix in (("needs", "MR_NEEDS_"),
                                     ("may", "MR_MAY_"),
                                     ("wants", "MR_WANT_"))),
           "## Services of the host\n\nEach is a member of `call->host` and "
           "is given `call`.\n\n" + functions(header, "mr_host"),
           "## Facts\n\n" + enum_table(header, "mr_fact")]
    for name, text in roles(header):
        if name != "mr_filter":
            out.append("## Role `%s`\n\n%s\n\n%s" % (
                name[3:], wrapped(text[:1].upper() + text[1:]),
                functions(header, name)))
    out.append("## The descriptor\n\n" + functions(header, "mr_plugin"))
    return "\n\n".join(out)


def head_part(header, begin, end):
    """Lines of the head comment between two of its lines."""
    head = COMMENT.search(header, header.index("*/") + 2).group(1)
    lines = [re.sub(r"^ \* ?", "", line) for line in head.split("\n")]
    first = next(i for i, line in enumerate(lines) if line.startswith(begin))
    last = next((i for i, line in enumerate(lines)
                 if end and line.startswith(end)), len(lines))
    return lines[first:last]


def promises(header):
    lines = head_part(header, "Compatibility.", "The order of calls")
    return "\n\n".join(wrapped(" ".join(p.split()))
                       for p in "\n".join(lines).strip().split("\n\n"))


def order(header):
    lines = head_part(header, "The order of calls", "After a plugin says")
    return "\n".join("    " + line.expandtabs(8)[8:] for line in lines[1:]
                     if line.strip())


def guide():
    with open(HEADER) as f:
        header = f.read()
    with open(TEMPLATE) as f:
        text = f.read()
    for word, value in (("@ORDER@", order(header)),
                        ("@PROMISES@", promises(header)),
                        ("@SECTIONS@", sections(header))):
        text = text.replace(word, value)
    return text


def main():
    made = guide()
    if "--check" in sys.argv:
        with open(GUIDE) as f:
            sys.exit(0 if f.read() == made else
                     "docs/plugin-guide.md is old: run conf/guide.py")
    with open(GUIDE, "w") as f:
        f.write(made)


if __name__ == "__main__":
    main()
