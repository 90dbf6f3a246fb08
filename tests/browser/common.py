"""What the browser tests share: a fleet as the end-to-end tests have it, and a real Chromium
that looks at its dashboard."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'e2e'))
import importlib.util  # noqa: E402

_spec = importlib.util.spec_from_file_location('e2e_common', HERE.parent / 'e2e/common.py')
e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(e2e)
BUILD, FleetTest, LabError, wait_for = e2e.BUILD, e2e.FleetTest, e2e.LabError, e2e.wait_for
free_port = sys.modules['lab'].free_port

SHOTS = pathlib.Path(os.environ.get('SLUICE_SCREENSHOTS', BUILD / 'screenshots'))
SCHEMES, WIDTHS = ('light', 'dark'), (360, 1920)

# A device is well while the file `sick` is not there; it holds on while `hold` is.
HEALTH = '''#!/bin/sh
here=$(dirname "$0")/..
while [ -e "$here/hold" ]; do sleep 0.1; done
[ ! -e "$here/sick" ]
'''


class Browser:
    """Chromium below driver.mjs; js() runs there and gives what it returns."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix='sluice-browser-')
        self.child = subprocess.Popen(
            ['node', HERE / 'driver.mjs', shutil.which('chromium'), str(free_port()),
             self.profile], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE)

    def js(self, code, **args):
        self.child.stdin.write(json.dumps({'code': code, 'args': args}) + '\n')
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise LabError(f'the browser ended with {self.child.wait()}')
        answer = json.loads(line)
        if 'error' in answer:
            raise AssertionError(answer['error'])
        return answer['value']

    def shot(self, name):
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.js('await page.screenshot({ path: args.path, fullPage: true });',
                path=str(SHOTS / f'{name}.png'))

    def close(self):
        self.child.stdin.close()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()
        shutil.rmtree(self.profile, ignore_errors=True)


class BrowserTest(FleetTest):
    """A fleet and somebody who looks at it. The address stays over a restart."""

    @classmethod
    def prepare(cls):
        config = cls.lab.dir / 'sluiced.yaml'
        cls.site = f'http://127.0.0.1:{free_port()}'
        text = config.read_text()
        assert '127.0.0.1:0' in text
        config.write_text(text.replace('127.0.0.1:0', cls.site.removeprefix('http://')))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        if hasattr(cls, 'browser'):
            cls.browser.close()
        super().tearDownClass()

    def js(self, code, **args):
        return self.browser.js(code, **args)

    def sign_in(self, key='api.key', width=1280, scheme='light', bypass=False):
        """A new visitor at the fleet's page."""
        self.js('''page = await fresh({ viewport: { width: args.width, height: 900 },
                     colorScheme: args.scheme, bypassCSP: args.bypass, reducedMotion: 'reduce' });
                   await page.goto(args.site);
                   await page.fill('#key', args.key);
                   await page.keyboard.press('Enter');
                   await page.waitForSelector('.glance');''', site=self.site, width=width,
                scheme=scheme, bypass=bypass, key=(self.lab.dir / key).read_text().strip())

    def go(self, path):
        """Another page of the dashboard, drawn."""
        self.js('''await page.evaluate(h => { location.hash = h; }, args.path);
                   await page.waitForFunction(k => document.querySelector('.page')?.dataset.key === k
                     && document.querySelector('.page h1'), args.key);''',
                path=f'#/{path}', key=path.split('?')[0])

    def text(self, selector='main'):
        return ' '.join(self.js('return await page.textContent(args.selector);',
                                selector=selector).split())

    def wait_text(self, words, selector='main', seconds=60):
        """Wait until words are on the page, without a reload."""
        self.js('''await page.waitForFunction(([s, w]) =>
                     document.querySelector(s)?.textContent.replace(/\\s+/g, ' ').includes(w), [args.selector, args.words],
                     { timeout: args.ms });''', selector=selector, words=words, ms=seconds * 1000)

    def problems(self):
        """What the browser complained about since it was last asked."""
        return self.js('return state.problems.splice(0);')

    def mark(self, device, name, there=True):
        path = self.lab.agents[device].dir / name
        if there:
            path.touch()
        else:
            path.unlink(missing_ok=True)
