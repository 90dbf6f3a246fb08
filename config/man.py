#!/usr/bin/env python3
"""Makes the manual page of a configuration file, in scdoc's language, from the section of the
README beside it, so that there is one description of each key.

usage: man.py README.md SECTION PAGE    ("agent.yaml" "sluice-agent.yaml")
"""
import re
import sys

PURPOSE = {
    'agent.yaml': 'configuration of a gateway for sluice-agent',
    'sluice.yaml': 'where the orchestrator of a fleet is, and the keys at hand',
    'sluiced.yaml': 'configuration of the orchestrator',
    'fleet.yaml': 'cohorts of a fleet and who is in them',
    'rollouts/*.yaml': 'a release in stages, with gates',
}


def plain(text):
    """Text that scdoc takes as it is."""
    return re.sub(r'([\\*_#\[\]|.<>~+])', r'\\\1', text)


def inline(text):
    """Markdown within a paragraph: code and bold are bold, of a link its text stays."""
    text = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', text.replace('\\|', '|'))
    out = []
    for piece in re.split(r'(`[^`]*`|\*\*[^*]*\*\*)', text):
        if piece.startswith('`'):
            out.append(f'*{plain(piece[1:-1])}*')
        elif piece.startswith('**'):
            out.append(f'*{plain(piece[2:-2].replace("`", ""))}*')
        else:
            out.append(plain(piece))
    return ''.join(out)


def section_of(readme, name):
    """The lines below a heading of second rank."""
    found = re.search(rf'^## {re.escape(name)}\n(.*?)(?=^## |\Z)', readme, re.M | re.S)
    if found is None:
        raise SystemExit(f'man.py: no section "{name}"')
    return found[1].strip().split('\n')


def cells(line):
    return [cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]]


def entry(heads, row):
    """One key: what it is, then a line for each further column that says something."""
    yield inline(row[0])
    yield f'\t{inline(row[1])}'
    for head, cell in zip(heads[2:], row[2:]):
        if cell:
            yield ''
            yield f'\t{plain(head.capitalize())}: {inline(cell)}'
    yield ''


def literal(lines):
    """The same lines, with what is indented by four between fences, as scdoc wants it, and no
    language behind a fence."""
    inside, fenced = False, False
    for line in lines:
        if line.startswith('```'):
            fenced = not fenced
            yield '```'
            continue
        if not fenced and line.strip() and line.startswith('    ') != inside:
            inside = not inside
            yield '```'
        yield line[4:] if inside else line
    if inside:
        yield '```'


def body(lines):
    """A section as scdoc's lines."""
    heads, fenced = None, False
    for line in literal(lines):
        if line == '```' or fenced:
            fenced = fenced != (line == '```')
            yield line
            continue
        if line.startswith('|'):
            row = cells(line)
            if heads is None:
                heads = row
            elif not set(line) <= set('|- '):
                yield from entry(heads, row)
            continue
        heads = None
        if line.startswith('### '):
            yield f'## {line[4:].upper()}'
        else:
            yield inline(line)


def page(readme, section, name):
    yield f'{name}(5) "Sluice" "Sluice"'
    yield f'\n# NAME\n\n{name} - {PURPOSE[section]}\n\n# DESCRIPTION\n'
    yield inline(general(readme))
    yield ''
    yield from body(section_of(readme, section))
    yield '\n# SEE ALSO\n\n*sluice*(1), *sluiced*(8), *sluice-agent*(8)'


def general(readme):
    """What holds for every file: the first paragraph below the title."""
    return readme.split('\n\n')[1].replace('\n', ' ')


def main():
    readme_path, section, name = sys.argv[1:]
    with open(readme_path, encoding='utf-8') as file:
        print('\n'.join(page(file.read(), section, name)))


if __name__ == '__main__':
    main()
