#!/usr/bin/env python3
"""Make the C table of the dashboard's files: each compressed, with its type and ETag.

usage: embed.py OUT.c FILE...

index.html is served at /, openapi.json below /api/v1, all others at /assets/NAME. The same files give the same table."""
import gzip
import hashlib
import pathlib
import sys

TYPES = {'.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8',
         '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml',
         '.json': 'application/json'}
PLACES = {'index.html': '/', 'openapi.json': '/api/v1/openapi.json'}
PER_LINE = 24


def path_of(file):
    return PLACES.get(file.name, f'/assets/{file.name}')


def lines_of(data):
    for at in range(0, len(data), PER_LINE):
        yield '\t' + ','.join(map(str, data[at:at + PER_LINE])) + ',\n'


def main():
    out, files = sys.argv[1], sorted(map(pathlib.Path, sys.argv[2:]), key=path_of)
    arrays, rows = '', ''
    for i, file in enumerate(files):
        plain = file.read_bytes()
        packed = gzip.compress(plain, 9, mtime=0)
        etag = hashlib.sha256(plain).hexdigest()[:32]
        arrays += f'static const unsigned char asset_{i}[] = {{\n{"".join(lines_of(packed))}}};\n'
        rows += (f'\t{{ "{path_of(file)}", "{TYPES[file.suffix]}", "W/\\"{etag}\\"", asset_{i}, '
                 f'sizeof(asset_{i}), {len(plain)} }},\n')
    pathlib.Path(out).write_text(
        f'#include "orchestrator/port/assets.h"\n\n{arrays}\n'
        f'const struct asset assets[] = {{\n{rows}}};\n'
        f'const size_t asset_count = {len(files)};\n')


main()
