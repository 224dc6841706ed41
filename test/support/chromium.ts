// A real browser for logins: Debian's chromium, driven by playwright-core, which brings no browser of its own.
import { accessSync, constants } from 'node:fs';
import type { TestContext } from 'node:test';
import { chromium, type Page } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** undefined = there is none on this machine. */
export function chromiumBinary(): string | undefined {
  return PLACES.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A page of a browser that is closed with the test. */
export async function newPage(t: TestContext, executablePath: string): Promise<Page> {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  t.after(() => browser.close());
  return browser.newPage();
}
