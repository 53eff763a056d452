"""YARA-X beside `scan --rules`: `take REGEXES RULES` writes a rule for each regex that it takes, and prints how many;
`scan RULES PLACE` tells which rules match in how many files of a place."""

import collections
import os
import re
import sys

import yara_x


def take(regexes, rules):
    taken = []
    for line in open(regexes, encoding="utf-8"):
        regex = line.rstrip("\n")
        fold = regex.startswith("(?i)")
        regex = re.sub(r"(\{\d+(?:,\d*)?\})\?", r"\1", regex[4 * fold :])
        regex = re.sub(r"(?<!\\)/", r"\/", regex)
        rule = f"rule r{len(taken)} {{ strings: $a = /{regex}/{'i' * fold} condition: $a }}\n"
        try:
            yara_x.compile(rule)
            taken.append(rule)
        except yara_x.CompileError:
            pass
    with open(rules, "w", encoding="utf-8") as file:
        file.writelines(taken)
    print(len(taken))


def scan(rules, place):
    scanner = yara_x.Scanner(yara_x.compile(open(rules, encoding="utf-8").read()))
    found = collections.Counter()
    files = [os.path.join(at, name) for at, _, names in os.walk(place) for name in names]
    for path in files or [place]:
        # What is empty cannot be mapped.
        if os.path.getsize(path) > 0:
            found.update(rule.identifier for rule in scanner.scan_file(path).matching_rules)
    for rule, count in sorted(found.items()):
        print(rule, count)


{"take": take, "scan": scan}[sys.argv[1]](*sys.argv[2:])
