// The map of z in headless Chromium: a VAE is fitted, its page opened from disk, moved through by pointer and keys.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeNpy } from '../../src/formats/npy.js';
import { dwp } from '../cli/run.js';
import { normal } from '../engine/reference.js';

const CHROMIUM = '/usr/bin/chromium';
const missing = !existsSync(CHROMIUM);
if (missing) console.warn(`${CHROMIUM} is not there: the map of z is not tested in a browser`);

const folder = mkdtempSync(join(tmpdir(), 'dwp-map-'));
const at = (name: string) => join(folder, name);
let browser: Browser;
beforeAll(async () => {
  if (missing) return;
  const [own, common] = [normal(980, 300, 9).data, normal(981, 300).data];
  const data = Float32Array.from(
    own,
    (x, i) => 0.1 * (x + (i % 18 < 9 ? 3 : -1) * common[Math.floor(i / 9)]),
  );
  writeNpy(at('kernels.npy'), { shape: [300, 3, 3], data });
  const vae = ['--family', 'vae', '--components', '3', '--members', '2', '--steps', '8', '--latent', '4'];
  for (const args of [
    ['fit-prior', at('kernels.npy'), ...vae, '--out', at('vae')],
    ['check-prior', at('vae'), '--kernels', at('kernels.npy'), '--html', at('vae.html')],
  ]) {
    const { code, err } = await dwp(...args);
    expect(code, err).toBe(0);
  }
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
    ],
  });
}, 120_000);
afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<{ page: Page; said: string[] }> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(error.message));
  page.on('request', (request) => {
    if (!/^(file|data):/.test(request.url())) said.push(request.url());
  });
  await page.goto(pathToFileURL(at('vae.html')).href);
  return { page, said };
}

const pixels = (page: Page, id: string) =>
  page.$eval(`#${id}`, (canvas) => (canvas as unknown as { toDataURL(): string }).toDataURL());

test.skipIf(missing)(
  'dragging, arrow keys, sliders and dots change the kernel; nothing is requested, nothing is said',
  async () => {
    const { page, said } = await open();
    const where = () => page.locator('#where').textContent();
    const places = new Set([await where()]);
    const kernels = new Set([await pixels(page, 'mean')]);
    const map = page.locator('#map');
    await map.scrollIntoViewIfNeeded();
    const box = (await map.boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    for (const [x, y] of [
      [0.9, 0.2],
      [0.1, 0.2],
      [0.1, 0.9],
      [0.9, 0.9],
    ]) {
      await page.mouse.move(box.x + x * box.width, box.y + y * box.height);
      places.add(await where());
      kernels.add(await pixels(page, 'mean'));
    }
    await page.mouse.up();
    expect(places.size).toBe(5);
    expect(kernels.size).toBeGreaterThan(2); // far apart on the map, but some components are alike there
    await map.focus();
    await page.keyboard.press('Shift+ArrowLeft');
    places.add(await where());
    await page.$eval('#directions input', (input) => {
      const slider = input as unknown as { value: string; max: string; dispatchEvent(event: Event): void };
      slider.value = slider.max;
      slider.dispatchEvent(new Event('input'));
    });
    places.add(await where());
    expect(places.size).toBe(7);
    expect(await page.locator('#real').isVisible()).toBe(false);
    await page.click('#next');
    expect(await page.locator('#real').isVisible()).toBe(true);
    expect(await page.locator('#where').textContent()).toMatch(/^z = \(-?\d/);
    const whole = await pixels(page, 'own');
    await page.click('#next');
    expect(await pixels(page, 'own')).not.toBe(whole);
    expect(said).toEqual([]);
  },
  60_000,
);

test.skipIf(missing).each(['light', 'dark'] as const)(
  'on a phone, %s: no scrolling sideways, and touch moves',
  async (colorScheme) => {
    const { page, said } = await open({ colorScheme, viewport: { width: 390, height: 800 }, hasTouch: true });
    const width = await page.evaluate('document.documentElement.scrollWidth');
    expect(width).toBeLessThanOrEqual(390);
    const before = await pixels(page, 'mean');
    await page.locator('#map').tap({ position: { x: 30, y: 30 } });
    expect(await pixels(page, 'mean')).not.toBe(before);
    expect(said).toEqual([]);
  },
  60_000,
);
