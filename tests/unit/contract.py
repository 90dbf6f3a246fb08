#!/usr/bin/env python3
"""Bring the examples of proto/README.md and the seeds of the fuzzers up to date with the
samples. usage: contract.py BUILD_DIRECTORY"""
import json
import pathlib
import re
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = ROOT / 'proto/README.md'
CORPUS = ROOT / 'tests/fuzz/corpus'


def payload_of(envelope):
    length = int.from_bytes(envelope[22:26], 'little')
    return envelope[26:26 + length]


def examples(build):
    lines = subprocess.run([build / 'tests/unit/examples'], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    return {name: bytes.fromhex(digits) for name, digits in (line.split() for line in lines)}


def put_block(text, head, body):
    pattern = re.compile(r'^```' + re.escape(head) + r'\n.*?^```$', re.M | re.S)
    if not pattern.search(text):
        sys.exit(f'no block "{head}" in {README}')
    return pattern.sub(lambda _: f'```{head}\n{body}\n```', text)


def put_seed(fuzzer, name, data):
    folder = CORPUS / fuzzer
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def main():
    text = README.read_text()
    for name, data in examples(pathlib.Path(sys.argv[1])).items():
        text = put_block(text, f'hex name={name}', '\n'.join(textwrap.wrap(data.hex(), 80)))
        if name.startswith('envelope-'):
            document = name.removeprefix('envelope-')
            payload = payload_of(data)
            text = put_block(text, f'json name=payload-{document}',
                             json.dumps(json.loads(payload), indent=2, ensure_ascii=False))
            put_seed('envelope', document, data)
            put_seed('json', document, payload)
            put_seed(f'doc_{document}', 'sample', payload)
        elif name == 'manifest-2':
            put_seed('manifest', name, data)
        elif name == 'block-table':
            put_seed('block_table', 'sample', data)
        else:
            put_seed(name, 'sample', data)
    topics = re.search(r'^```text name=topics\n(.*?)\n```$', text, re.M | re.S)[1]
    for topic in topics.splitlines():
        put_seed('topics', topic.split('/')[3] + f'-{topic.count("/")}', topic.encode())
    README.write_text(text)


main()
