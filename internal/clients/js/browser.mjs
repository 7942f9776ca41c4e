// A person with a real browser (headless Chromium) at the simulator's consent
// pages, asked by the SDK's URL-mode elicitation, in the era that the argument
// names: grants once and refuses once at each provider. Over HTTP, where there
// is a url, a client of the legacy era is not asked, and the agent has the
// address from the error.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { chromium } from 'playwright-core';
import { Report } from './report.mjs';

const { command, args, env, era, url, token, chromium: executablePath } = JSON.parse(process.argv[2]);
const report = new Report();
const profile = mkdtempSync(join(tmpdir(), 'bankauth-browser-'));

const browser = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

const client = new Client(
  { name: 'bankauth-browser', version: '1' },
  { capabilities: { elicitation: { form: {}, url: {} } }, versionNegotiation: { mode: era === 'legacy' ? era : { pin: era } } },
);

// consent opens the page, presses the button, and looks at where it ends.
async function consent(url, button) {
  const page = await browser.newPage();
  const complaints = [];
  page.on('console', (m) => m.type() === 'error' && complaints.push(m.text()));
  page.on('pageerror', (e) => complaints.push(String(e)));
  await page.goto(url);
  const bank = await page.textContent('h1');
  await Promise.all([page.waitForURL('**/consent/callback?**'), page.click(`button[value=${button}]`)]);
  const seen = { bank, at: page.url(), title: await page.textContent('h1'), text: await page.textContent('p'), scripts: await page.locator('script').count(), complaints: [...complaints] };
  seen.styled = await page.evaluate(() => getComputedStyle(document.querySelector('main').parentElement).maxWidth !== 'none');
  const again = await page.reload();
  seen.again = again.status();
  await page.close();
  return seen;
}

let decide;
let visit;
client.setRequestHandler('elicitation/create', async (request) => {
  visit = consent(request.params.url, decide); // the person goes on while the answer is sent
  visit.catch(() => {}); // it is awaited below
  return { action: 'accept' };
});

async function call(args) {
  const result = await client.callTool({ name: 'create_access_token', arguments: { grant_type: 'authorization_code', ...args } });
  return JSON.parse(result.content[0].text);
}

async function connect(provider, button, check) {
  decide = button;
  visit = undefined;
  await report.attempt(`${provider} ${button}`, async () => {
    let answer = await call({ provider });
    report.equal(`${provider} ${button}: who is asked`, visit ? 'the client' : answer.error?.code, url && era === 'legacy' ? 'consent_required' : 'the client');
    if (!visit) {
      const { consent_url, consent_ref } = answer.error;
      visit = consent(consent_url, button);
      visit.catch(() => {});
      answer = await call({ provider, consent_ref });
    }
    const seen = await visit;
    if (url) report.check(`${provider} ${button}: it is the server's own address`, seen.at.startsWith(new URL('/consent/callback?', url).href), seen);
    report.equal(`${provider} ${button}: the bank's page came first`, seen.bank, 'Simulated bank');
    report.equal(`${provider} ${button}: no script`, seen.scripts, 0);
    report.check(`${provider} ${button}: the style is let in`, seen.styled, seen);
    report.equal(`${provider} ${button}: the browser has nothing to complain of`, seen.complaints, []);
    report.equal(`${provider} ${button}: a second time is refused`, seen.again, 410);
    check(seen, answer);
  });
}

await report.attempt('connected', async () => {
  await client.connect(url
    ? new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } })
    : new StdioClientTransport({ command, args, env, stderr: 'inherit' }));
  for (const provider of ['fintecture', 'flinks']) {
    await connect(provider, 'grant', (seen, answer) => {
      report.equal(`${provider}: done`, seen.title, 'Done');
      report.check(`${provider}: a handle`, /^tok_[a-z2-7]{32}$/.test(answer.token_ref) && answer.refreshable === true, answer);
    });
    await connect(provider, 'deny', (seen, answer) => {
      report.equal(`${provider}: not done`, seen.title, 'It did not work');
      report.equal(`${provider}: the agent knows`, answer.error?.code, 'reauthorize');
    });
  }
  await client.close();
});
await browser.close();
rmSync(profile, { recursive: true, force: true });
report.end();
