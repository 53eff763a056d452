"""Checks the links between the repository's documents, and makes the chapters of the book from them.

    book.py check           every relative link of a document names a file, and its anchor a heading; and every path in
                            backquotes that begins with a folder of the repository is there
    book.py chapters DIR    the chapters that docs/SUMMARY.md lists, with links that lead within the book
"""

import glob
import os
import re
import subprocess
import sys

SOURCE = "https://github.com/gristmill/gristmill/blob/main/"
SUMMARY = "docs/SUMMARY.md"
# Made when the book is built.
MANUAL = "docs/manual.md"
# The changelog names files of the past, so its paths are not checked.
HISTORY = "CHANGELOG.md"
PATH = re.compile(r"`((?:crates|docs|examples|kernel|programs|scripts|bench|vm|\.ci)/[\w./*-]*)`")
LINK = re.compile(r"(\]\()([^)\s]+)(\))|^(\[[^\]]+\]:\s+)(\S+)()$", re.M)


def documents():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        check=True, capture_output=True, text=True,
    )
    return [path for path in listed.stdout.split("\n") if path and os.path.exists(path)]


def without_code(text):
    """The text with its code blocks and code spans blanked, of the same length."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())
    text = re.sub(r"^ *(```|~~~).*?^ *\1", blank, text, flags=re.M | re.S)
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", blank, text)


def anchors(text):
    """What headings can be linked to by, as GitHub and mdBook name them."""
    names, seen = set(), {}
    text = re.sub(r"^ *(```|~~~).*?^ *\1", "", text, flags=re.M | re.S)
    for heading in re.findall(r"^#+\s+(.*)$", text, re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        count = seen.get(name, 0)
        seen[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def links(path, text):
    """Each relative link: where it stands, the file that it names, and the anchor."""
    for match in LINK.finditer(without_code(text)):
        number = 2 if match.group(2) else 5
        target = match.group(number)
        if re.match(r"[a-z]+:|//|<", target):
            continue
        file, _, anchor = target.partition("#")
        file = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        yield match.span(number), file, anchor


def check():
    wrong = []
    for path in documents():
        text = read(path)
        for (start, _), file, anchor in links(path, text):
            line = text.count("\n", 0, start) + 1
            if file == MANUAL:
                continue
            if not os.path.exists(file):
                wrong.append(f"{path}:{line}: there is no {file}")
            elif anchor and file.endswith(".md") and anchor not in anchors(read(file)):
                wrong.append(f"{path}:{line}: {file} has no heading #{anchor}")
        for match in PATH.finditer(text if path != HISTORY else ""):
            # A word in capitals stands for a name.
            if not glob.glob(re.sub(r"\b[A-Z]+\b", "*", match.group(1))):
                line = text.count("\n", 0, match.start()) + 1
                wrong.append(f"{path}:{line}: there is no {match.group(1)}")
    if not wrong:
        print("every link and every path leads somewhere")
    else:
        sys.exit("\n".join(wrong))


def chapters(directory):
    """A chapter's name in the book is its path with dashes for slashes, but documents of docs/ keep theirs."""
    listed = [file for _, file, _ in links(SUMMARY, read(SUMMARY))]
    names = {SUMMARY: "SUMMARY.md"}
    for file in listed:
        names[file] = file.removeprefix("docs/").replace("/", "-")
    # mdBook makes an index of README.md.
    for file, name in names.items():
        if file == MANUAL:
            continue
        text, parts, end = read(file), [], 0
        for (start, stop), target, anchor in links(file, text):
            anchor = f"#{anchor}" if anchor else ""
            to = names.get(target, SOURCE + target)
            parts += [text[end:start], to + anchor]
            end = stop
        with open(os.path.join(directory, name), "w", encoding="utf-8") as chapter:
            chapter.write("".join(parts) + text[end:])


match sys.argv[1:]:
    case ["check"]:
        check()
    case ["chapters", directory]:
        chapters(directory)
    case _:
        sys.exit(__doc__)
