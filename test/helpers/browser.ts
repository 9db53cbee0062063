// A real Chromium for tests of what people look at. The caller closes the browser.
import { chromium, type Browser } from 'playwright-core';

/** Starts the browser that test/helpers/peers.mjs has seen to; it asks nobody for anything by itself. */
export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
