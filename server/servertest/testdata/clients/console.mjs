// The console in Chromium. The environment gives its address, the owner's key,
// a key that may see corpora only, and a script that stands in names.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import puppeteer from 'puppeteer-core';

const { CHROMIUM, CONSOLE_URL: url, CONSOLE_KEY: key, CONSOLE_NARROW: narrow, CONSOLE_SCRIPT: script, WATCHWORD_SHOTS: shots } = process.env;
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const browser = await puppeteer.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] });

async function open({ width = 1200, height = 900, dark = false, lang = 'en' } = {}) {
  const page = await browser.newPage();
  const seen = { requests: [], faults: [] };
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]);
  page.on('pageerror', (e) => seen.faults.push(String(e)));
  page.on('console', (m) => m.type() === 'error' && !/status of 40[13]/.test(m.text()) && seen.faults.push(m.text()));
  page.on('dialog', async (d) => { seen.faults.push(d.message()); await d.dismiss(); });
  page.on('request', (r) => seen.requests.push({ url: r.url(), method: r.method(), body: r.postData() ?? '' }));
  await page.evaluateOnNewDocument(`Object.defineProperty(navigator, 'language', { get: () => '${lang}' })`);
  await page.goto(`${url}/`);
  await page.waitForSelector('#enter:not([hidden])');
  return { page, seen };
}

async function enter(page, secret) {
  await page.type('#key', secret);
  await page.keyboard.press('Enter');
}

const text = (page) => page.$eval('main', (m) => m.innerText);
const settle = (page, f, ...args) => page.waitForFunction(f, { timeout: 20_000 }, ...args).catch(async (e) => {
  throw new Error(`${e.message}: ${f} on\n${await text(page)}`);
});

async function view(page, name) {
  await page.evaluate((n) => { location.hash = n; }, name);
  await settle(page, (n) => document.querySelector(`nav a[href="#${n}"]`)?.hasAttribute('aria-current') && document.querySelector('#view h2'), name);
}

async function accessible(page, what) {
  if (!(await page.evaluate(() => 'axe' in window))) {
    const { readFile } = await import('node:fs/promises');
    // Through the inspector: the page's own policy lets no other script in.
    await page.evaluate(await readFile(axe, 'utf8'));
  }
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), [], what);
}

async function shot(page, name) {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
}

// spoken refuses values of the program where people expect words.
function spoken(words, what) {
  assert.doesNotMatch(words, /false|undefined|NaN|Invalid Date|\[object/, what);
}

async function wide(page, what) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `${what} is ${over} px wider than the page`);
}

const tests = {
  async 'a wrong key'() {
    const { page } = await open();
    await accessible(page, 'the door');
    await shot(page, 'enter');
    await enter(page, 'ww_not_a_key');
    await settle(page, () => document.getElementById('key-fault').textContent !== '');
    assert.equal(await page.$eval('#key', (k) => k.value), '');
    assert.ok(await page.$eval('#nav', (n) => n.hidden));
    // An access token is longer than any key, and travels whole.
    await page.$eval('#key-fault', (f) => { f.textContent = ''; });
    const asked = page.waitForRequest((r) => r.url().endsWith('/v1/policies:list'));
    await page.focus('#key');
    await page.keyboard.sendCharacter('t'.repeat(3000));
    await page.keyboard.press('Enter');
    assert.equal((await asked).headers().authorization, `Bearer ${'t'.repeat(3000)}`);
    await settle(page, () => document.getElementById('key-fault').textContent !== '');
    await page.$eval('#key-fault', (f) => { f.textContent = ''; });
    await enter(page, 'schlüssel');
    await settle(page, () => document.getElementById('key-fault').textContent !== '');
  },

  async 'a key with one scope'() {
    const { page, seen } = await open();
    await enter(page, narrow);
    await settle(page, () => document.querySelector('#view .fault'));
    await view(page, 'corpora');
    assert.match(await text(page), /sha1[\s\S]*301/);
    await view(page, 'audits');
    assert.match(await text(page), /may not see this/);
    assert.deepEqual(seen.faults, []);
  },

  async 'every view, in both languages, at every width'() {
    for (const lang of ['en', 'zh-CN']) {
      for (const [size, options] of [['desktop', {}], ['phone', { width: 390, height: 844 }], ['dark', { dark: true }]]) {
        const { page, seen } = await open({ lang, ...options });
        await enter(page, key);
        await settle(page, () => document.getElementById('password'));
        for (const name of ['try', 'throttle', 'corpora', 'audits', 'exposure']) {
          await view(page, name);
          if (name === 'try') {
            await page.type('#password', 'password1990');
            await settle(page, () => document.querySelector('#view meter'));
          }
          if (name === 'throttle') {
            await page.type('#subject', script);
            await page.keyboard.press('Enter');
            await settle(page, () => document.querySelector('#view table'));
          }
          if (name === 'audits') {
            await page.click('#view tbody button');
            await settle(page, () => document.querySelector('#view svg.bars'));
            await settle(page, (s) => document.querySelector('main').innerText.includes(s), script);
          }
          await wide(page, `${name} ${lang} ${size}`);
          spoken(await text(page), `${name} ${lang} ${size}`);
          await accessible(page, `${name} ${lang} ${size}`);
          await shot(page, `${name}-${lang}-${size}`);
          assert.equal(/[\u4e00-\u9fff]/.test((await text(page)).replaceAll('中文', '')), lang === 'zh-CN', `${name}: the language`);
        }
        assert.equal(await page.title(), 'watchword', 'a name was run');
        assert.deepEqual(seen.faults, []);
        assert.deepEqual(seen.requests.filter((r) => !r.url.startsWith(`${url}/`)), []);
        await page.close();
      }
    }
  },

  async 'a password that is tried'() {
    const { page, seen } = await open();
    await enter(page, key);
    await settle(page, () => document.getElementById('password'));
    await page.type('#password', 'Kanarienvogel 7731 auf dem Dach');
    await settle(page, () => document.querySelector('#view .chip.good'));
    await shot(page, 'accepted');
    spoken(await text(page), 'an accepted password');
    // What is pasted over the cap goes nowhere.
    const before = seen.requests.length;
    await page.$eval('#password', (e) => { e.value = 'x'.repeat(1 << 20); e.dispatchEvent(new Event('input', { bubbles: true })); });
    await settle(page, () => document.querySelector('#view .fault'));
    await page.$eval('#password', (e) => { e.value = '\ufdfa'.repeat(1300); e.dispatchEvent(new Event('input', { bubbles: true })); });
    await new Promise((done) => setTimeout(done, 400));
    assert.ok(seen.requests.slice(before).every((r) => r.body.length < 20_000), 'a long text was sent');
    await page.$eval('#password', (e, s) => { e.value = s; e.dispatchEvent(new Event('input', { bubbles: true })); }, script);
    await settle(page, () => document.querySelector('#view meter'));
    assert.equal(await page.title(), 'watchword');
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
    assert.ok(!kept.includes('Kanarien') && !kept.includes('ww_'), kept);
    assert.ok(seen.requests.every((r) => !r.url.includes('Kanarien') && !r.url.includes('ww_')));
    await page.reload();
    await settle(page, () => !document.getElementById('enter').hidden);
    assert.deepEqual(seen.faults, []);
  },

  async 'without a mouse'() {
    const { page } = await open();
    await enter(page, key);
    await settle(page, () => document.getElementById('password'));
    const reached = [];
    for (let i = 0; i < 30; i++) {
      await page.keyboard.press('Tab');
      reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.getAttribute('href') || document.activeElement.textContent));
    }
    for (const want of ['skip', '#throttle', '#exposure', 'locale', 'leave', 'policy', 'password', 'login', 'Show']) assert.ok(reached.includes(want), `${want} is not among ${reached}`);
    await page.focus('nav a[href="#exposure"]');
    await page.keyboard.press('Enter');
    await settle(page, () => location.hash === '#exposure' && document.querySelector('#view h2'));
    // The way past the menu leads to what is shown, and to no other view.
    await page.focus('#skip');
    await page.keyboard.press('Enter');
    await settle(page, () => document.activeElement.id === 'main');
    assert.equal(await page.evaluate(() => location.hash), '#exposure');
    await page.focus('#leave');
    await page.keyboard.press('Enter');
    await settle(page, () => !document.getElementById('enter').hidden && document.activeElement.id === 'key');
    assert.equal(await page.$eval('#view', (v) => v.childElementCount), 0);
  },

  async 'a signal that comes while one looks'() {
    const { page, seen } = await open();
    await enter(page, key);
    await settle(page, () => document.getElementById('password'));
    await view(page, 'throttle');
    await new Promise((done) => setTimeout(done, 500));
    // 40 accounts from one network, none of them right.
    for (let i = 0; i < 60; i++) {
      await fetch(`${url}/v1/credentials:verify`, { method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
        body: JSON.stringify({ subject: `victim ${i}`, password: 'Sommer2026', source: { ip: '203.0.113.9' } }) });
    }
    await settle(page, () => document.querySelector('#view table'));
    await shot(page, 'signals');
    assert.deepEqual(seen.faults, []);
  },
};

let failed = 0;
for (const [name, run] of Object.entries(tests)) {
  try {
    await run();
  } catch (e) {
    failed++;
    console.error(`${name}: ${e.stack}`);
  }
}
await browser.close();
process.exit(failed ? 1 : 0);
