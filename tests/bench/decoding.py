"""How fast patches are applied: our program beside others, on the same pair in the same
run. They take turns, so that what else the machine does hits all of them alike."""
import hashlib
import os
import re
import statistics
import subprocess

import debs
import tools

OURS, BARE = 'sluice predict', 'sluice predict, no digests'
RIVALS = ('hdiffz zstd', 'bsdiff')


def patch_of(options, meter, pair, tool):
    """The patch of a tool for a pair, kept beside the corpus: some take long to make."""
    name = hashlib.sha256(f'{pair.key()} {tool.key()}'.encode()).hexdigest()[:32]
    kept = options.corpus / 'patches' / name
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        made = kept.with_suffix(f'.{os.getpid()}')
        meter.steps(tool.encode(pair.old, pair.new, made, meter.place / 'part'))
        os.replace(made, kept)
    return kept


def digest_s(options, pair):
    """Seconds that digests of both images take, as our program computes them."""
    done = subprocess.run([str(options.build / 'tests/bench/bench_decoder'), 'digest',
                           str(pair.old), str(pair.new)], capture_output=True, text=True,
                          check=True)
    return float(re.match(r'digest_s=(\S+)', done.stdout).group(1))


def apply(meter, pair, tool, patch):
    """Seconds of processor time."""
    out = meter.place / 'out'
    out.unlink(missing_ok=True)
    took = meter.steps(tool.decode(pair.old, out, patch, meter.place / 'part'))
    if debs.sha256_of(out) != pair.new_sha256:
        raise tools.Broken(f'{tool.name}: what it decoded is not {pair.new}')
    return took['cpu_s']


def measure(options, meter, pair, present):
    """{name: [seconds of each round]} of ours, ours without digests, and rivals."""
    present = [t for t in present if t.name in (OURS, *RIVALS)]
    patches = {t.name: patch_of(options, meter, pair, t) for t in present}
    took = {}
    for _ in range(options.rounds):
        for tool in present:
            seconds = apply(meter, pair, tool, patches[tool.name])
            took.setdefault(tool.name, []).append(seconds)
            if tool.name == OURS:
                took.setdefault(BARE, []).append(seconds - digest_s(options, pair))
    return took


def rows(pair, took):
    """Speed as MB of image per second, by the median, and as a share of each rival's."""
    middle = {name: max(statistics.median(s), 1e-4) for name, s in took.items()}
    for name, seconds in took.items():
        shares = [f'{middle[r] / middle[name]:.2f}' if r in middle else '-' for r in RIVALS]
        yield [f'{pair.name} {name}', f'{min(seconds):.3f}', f'{middle[name]:.3f}',
               f'{pair.len / 1e6 / middle[name]:.0f}', *shares]


HEAD = ['decoding, in turns', 'best s', 'median s', 'MB/s', *(f'of {r}' for r in RIVALS)]
