// A person with a browser on the page /docs/: node docs.mjs
// '{"url":…,"token":…,"browser":…,"profile":…,"screenshot":…}'.

import { chromium } from 'playwright-core';
import { Report } from './report.mjs';

const options = JSON.parse(process.argv[2]);
const report = new Report();
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

await report.attempt('docs', async () => {
  const context = await chromium.launchPersistentContext(options.profile, {
    executablePath: options.browser, headless: true, args: flags, viewport: { width: 1280, height: 1600 },
  });
  try {
    const page = context.pages()[0] ?? await context.newPage();
    const complaints = [], elsewhere = [];
    page.on('console', (m) => { if (m.type() === 'error') complaints.push(m.text()); });
    page.on('pageerror', (e) => complaints.push(e.message));
    page.on('request', (r) => { if (!r.url().startsWith(options.url) && !r.url().startsWith('data:')) elsewhere.push(r.url()); });
    const answer = await page.goto(options.url + '/docs/');
    report.check('the policy is strict', !/unsafe|\*|https?:/.test(answer.headers()['content-security-policy'] ?? '*'), answer.headers());

    await page.getByRole('button', { name: 'Authorize' }).first().click();
    await page.locator('.auth-container input').fill(options.token);
    await page.locator('.auth-btn-wrapper .authorize').click();
    await page.locator('.auth-btn-wrapper .btn-done').click();

    const operation = page.locator('#operations-tools-create_access_token');
    await operation.locator('.opblock-summary').click();
    await operation.locator('textarea').fill(JSON.stringify({ provider: 'flinks', grant_type: 'client_credentials', scope: 'client:admin' }));
    await operation.getByPlaceholder('Idempotency-Key').fill('by-hand');
    await operation.getByRole('button', { name: 'Execute' }).click();
    const live = operation.locator('.live-responses-table');
    await live.waitFor();
    const status = (await live.locator('.response .response-col_status').first().innerText()).trim();
    const body = JSON.parse(await live.locator('.response .response-col_description .microlight, .response .response-col_description pre').first().innerText());
    report.check('the answer is 200', status.startsWith('200'), status);
    report.check('the answer has a handle', /^tok_[a-z2-7]{32}$/.test(body.token_ref) && body.provider === 'flinks', body);

    const curl = await operation.locator('.curl-command').innerText();
    for (const part of ['curl', '/v1/create_access_token', 'Authorization: Bearer', 'Idempotency-Key: by-hand', '"grant_type"']) {
      report.check(`the request is shown as curl, with ${part}`, curl.includes(part), curl);
    }
    await operation.scrollIntoViewIfNeeded();
    await page.screenshot({ path: options.screenshot, fullPage: true });

    await operation.locator('textarea').fill(JSON.stringify({ provider: 'flinks' }));
    await operation.getByPlaceholder('Idempotency-Key').fill('');
    await operation.getByRole('button', { name: 'Execute' }).click();
    await live.getByText('"invalid_argument"').waitFor();
    report.check('a slip is answered with 400', (await live.locator('.response .response-col_status').first().innerText()).trim().startsWith('400'));
    report.equal('the browser has nothing to complain of', complaints.filter((c) => !c.includes('400 (Bad Request)')), []);
    report.equal('nothing is fetched from elsewhere', elsewhere, []);
  } finally {
    await context.close();
  }
});
report.end();
