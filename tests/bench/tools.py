"""The programs that the bench compares: how each makes a patch and applies it.

Times are seconds of processor time: they say the same on a busy machine. Memory is the
peak of the process; what our decoder declares in the patch is kept beside it."""
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import debs

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SHORT_S = 1  # what took less is timed again
REPEATS = 3


class Broken(Exception):
    """A program failed, or what came out is not what went in."""


class Meter:
    """Runs programs and adds up what they took."""

    def __init__(self, build, place):
        self.helper, self.place = build / 'tests/bench/bench_measure', place

    def run(self, *command):
        report = self.place / 'report'
        done = subprocess.run([str(c) for c in (self.helper, report, *command)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            raise Broken(f'{" ".join(map(str, command))}: exit status {done.returncode}\n'
                         f'{done.stderr.decode(errors="replace").strip()}')
        took = {k: float(v) for k, v in (w.split('=') for w in report.read_text().split())}
        return took, done.stdout

    def steps(self, commands):
        """Commands one after the other: times add up, peaks do not."""
        total = {'cpu_s': 0.0, 'wall_s': 0.0, 'rss_kib': 0.0}
        for command in commands:
            took, _ = self.run(*command)
            total = {k: max(v, took[k]) if k == 'rss_kib' else v + took[k]
                     for k, v in total.items()}
        return total

    def steps_again(self, commands):
        """The quickest of a few goes, unless one goes on for long."""
        best = self.steps(commands)
        for _ in range(REPEATS - 1):
            if best['cpu_s'] < SHORT_S:
                best = min(best, self.steps(commands), key=lambda took: took['cpu_s'])
        return best


class Tool:
    """encode and decode give commands for (old, new, patch, scratch)."""

    def __init__(self, name, programs, encode, decode):
        self.name, self.programs = name, [shutil.which(p) for p in programs]
        self.encode, self.decode = encode, decode

    def is_here(self):
        return all(self.programs)

    @functools.cache
    def key(self):
        """Changes with the programs and with how they are called."""
        called = str(self.encode('old', 'new', 'patch', 'part')
                     + self.decode('old', 'out', 'patch', 'part'))
        called = called.replace(str(ROOT), '')
        return ' '.join([self.name, *(debs.sha256_of(p)[:16] for p in self.programs), called])

    def declared(self, patch):
        """Heap that a decoder asks for, in bytes; None if the patch does not say."""
        del patch

    def measure(self, meter, pair):
        patch, part, out = (meter.place / n for n in ('patch', 'part', 'out'))
        for path in (patch, part, out):
            path.unlink(missing_ok=True)
        encode = meter.steps(self.encode(pair.old, pair.new, patch, part))
        decode = meter.steps_again(self.decode(pair.old, out, patch, part))
        if debs.sha256_of(out) != pair.new_sha256:
            raise Broken(f'{self.name}: what it decoded is not {pair.new}')
        return {'bytes': os.path.getsize(patch), 'encode': encode, 'decode': decode,
                'declared': self.declared(patch)}


class Sluice(Tool):
    """Our own program with one codec."""

    def __init__(self, program, codec):
        super().__init__(
            f'sluice {codec}', [program],
            lambda old, new, patch, part: [
                [program, 'diff', f'--codec={codec}', '-o', patch, old, new]],
            lambda old, out, patch, part: [[program, 'patch', '-o', out, old, patch]])

    def declared(self, patch):
        done = subprocess.run([self.programs[0], 'inspect', '-O', 'json', patch],
                              capture_output=True, text=True, check=False)
        return json.loads(done.stdout)['decoder_ram'] if done.returncode == 0 else None


def codecs(program):
    """The codecs that our program offers, by its own help."""
    text = subprocess.run([program, 'diff', '--help'], capture_output=True, text=True,
                          check=True).stdout
    found = re.search(r'--codec=(\S+)', text)
    return [c for c in found.group(1).split('|') if c != 'auto'] if found else []


def bsdiff():
    return Tool('bsdiff', ['bsdiff', 'bspatch'],
                lambda old, new, patch, part: [['bsdiff', old, new, patch]],
                lambda old, out, patch, part: [['bspatch', old, out, patch]])


def xdelta3():
    return Tool('xdelta3+zstd', ['xdelta3', 'zstd'],
                lambda old, new, patch, part: [
                    ['xdelta3', '-e', '-f', '-9', '-S', 'none', '-B', 1 << 29, '-s', old, new,
                     part],
                    ['zstd', '-q', '-f', '-19', part, '-o', patch]],
                lambda old, out, patch, part: [
                    ['zstd', '-q', '-f', '-d', patch, '-o', part],
                    ['xdelta3', '-d', '-f', '-B', 1 << 29, '-s', old, part, out]])


def zstd():
    return Tool('zstd patch', ['zstd'],
                lambda old, new, patch, part: [
                    ['zstd', '-q', '-f', '-19', '--long=28', f'--patch-from={old}', new, '-o',
                     patch]],
                lambda old, out, patch, part: [
                    ['zstd', '-q', '-f', '-d', '--long=28', f'--patch-from={old}', patch, '-o',
                     out]])


def hdiffpatch(name, compressor):
    return Tool(name, ['hdiffz', 'hpatchz'],
                lambda old, new, patch, part: [
                    ['hdiffz', '-f', '-d', '-m-3', '-SD', '-p-1', compressor, old, new, patch]],
                lambda old, out, patch, part: [['hpatchz', '-f', old, patch, out]])


def everything(build):
    """The programs of this machine; ours first. What is not there is said once."""
    program = build / 'orchestrator/cli/sluice'
    found = [Sluice(str(program), codec) for codec in codecs(program)]
    for tool in (bsdiff(), xdelta3(), zstd(), hdiffpatch('hdiffz zstd', '-c-zstd-21-24'),
                 hdiffpatch('hdiffz lzma2', '-c-lzma2-9-16m')):
        if tool.is_here():
            found.append(tool)
        else:
            print(f'delta: no {tool.name} on this machine', file=sys.stderr)
    return found
