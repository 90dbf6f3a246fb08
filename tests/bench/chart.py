"""The bytes of every patch as bars, in an SVG file that follows the reader's light or dark
colours and can be read aloud.

A bar is as long as its patch is, measured by bsdiff's patch of the same pair, because pairs
differ in size by a factor of a hundred. The bytes stand beside it."""
from xml.sax.saxutils import escape

BASE = 'bsdiff'
SHOWN = ('sluice predict', 'sluice vcdiff', 'hdiffz lzma2', 'hdiffz zstd', 'bsdiff',
         'xdelta3+zstd', 'zstd patch')
WIDTH, LEFT, RIGHT = 900, 150, 80  # pixels; labels need room on both sides
BAR, GAP, HEAD, LEGEND = 9, 10, 60, 22
SCALE_MAX = 3.0  # a longer bar is cut, and says so

STYLE = '''\
svg { --ink: #1f2328; --page: #ffffff; --grid: #d0d7de; }
.c0 { fill: #0b6e4f; } .c1 { fill: #7fb8a4; } .c2 { fill: #b4540a; } .c3 { fill: #e0a878; }
.c4 { fill: #57606a; } .c5 { fill: #8c6bb1; } .c6 { fill: #c5b3dc; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6edf3; --page: #0d1117; --grid: #30363d; }
  .c0 { fill: #3fb68b; } .c1 { fill: #2b6653; } .c2 { fill: #f0883e; } .c3 { fill: #8f5730; }
  .c4 { fill: #9aa4ae; } .c5 { fill: #b392d9; } .c6 { fill: #6b5787; }
}
text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.small { font-size: 9px; } .page { fill: var(--page); } .grid { stroke: var(--grid); }
'''


def grouped(number):
    return f'{number:,}'.replace(',', '\u202f')


def x_of(share):
    return LEFT + (WIDTH - LEFT - RIGHT) * min(share, SCALE_MAX) / SCALE_MAX


def text(x, y, words, more=''):
    return f'<text x="{x:.0f}" y="{y:.0f}"{more}>{escape(words)}</text>'


def legend(names):
    x = LEFT
    for name in names:
        yield (f'<rect class="c{SHOWN.index(name)}" x="{x}" y="{HEAD - LEGEND - 9}" width="10" '
               'height="10"/>')
        yield text(x + 14, HEAD - LEGEND, name)
        x += 24 + 7 * len(name)


def grid(bottom):
    for tenth in range(0, int(SCALE_MAX * 10) + 1, 5):
        x = x_of(tenth / 10)
        yield (f'<line class="grid" x1="{x:.0f}" y1="{HEAD}" x2="{x:.0f}" y2="{bottom}"/>')
        yield text(x, HEAD - 5, f'{tenth / 10:g}', ' class="small" text-anchor="middle"')


def bar(y, name, count, base):
    share = count / base
    cut = ' \u2192' if share > SCALE_MAX else ''
    yield (f'<rect class="c{SHOWN.index(name)}" x="{LEFT}" y="{y}" '
           f'width="{max(1, x_of(share) - LEFT):.1f}" height="{BAR - 1}">'
           f'<title>{escape(name)}: {grouped(count)} bytes, {share:.2f} of {BASE}</title></rect>')
    yield text(x_of(share) + 4, y + BAR - 1, grouped(count) + cut, ' class="small"')


def group(y, pair, found, names):
    """The bars of one pair."""
    there = [n for n in names if n in found]
    yield '<g>'
    yield text(LEFT - 8, y + BAR * len(there) / 2 + 4, pair.name, ' text-anchor="end"')
    for i, name in enumerate(there):
        yield from bar(y + i * BAR, name, found[name]['bytes'], found[BASE]['bytes'])
    yield '</g>'


def description(pairs, names):
    """What the picture shows, in words."""
    lines = [f'Length of patches, by the length of that of {BASE}; shorter is better.']
    for pair, found in pairs:
        lines.append(f'{pair.name}: ' + ', '.join(
            f'{n} {grouped(found[n]["bytes"])} bytes' for n in names if n in found) + '.')
    return '\n'.join(lines)


def draw(names, results):
    """The picture as SVG text."""
    names = [n for n in SHOWN if n in names]
    pairs = [(pair, found) for pair, found in results if BASE in found]
    y, body = HEAD + GAP, []
    for pair, found in pairs:
        body.extend(group(y, pair, found, names))
        y += BAR * sum(n in found for n in names) + GAP
    return '\n'.join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" '
        f'height="{y}" role="img" aria-labelledby="title desc">',
        f'<title id="title">Bytes of patches, {BASE} = 1</title>',
        f'<desc id="desc">{escape(description(pairs, names))}</desc>',
        f'<style>\n{STYLE}</style>',
        f'<rect class="page" width="{WIDTH}" height="{y}"/>',
        text(LEFT, 18, f'Bytes of patches, {BASE} = 1; shorter is better'),
        *legend(names), *grid(y), *body, '</svg>', ''])
