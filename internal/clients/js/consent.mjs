// A person with a browser, at the simulator's consent page.

import { randomUUID } from 'node:crypto';

export const redirectURI = 'http://127.0.0.1:1/callback';

const pages = {
  fintecture: (id, state) => ['/oauth/token/authorize', { response_type: 'code', app_id: id, redirect_uri: redirectURI, state }],
  flinks: (id, state) => [
    '/api/v1/authorize',
    { response_type: 'code', client_id: id, redirect_uri: redirectURI, state, scope: 'ACCOUNT_BASIC TRANSACTIONS' },
  ],
};

// authorize returns the code that the redirect brings after consent.
export async function authorize(provider, base, clientID) {
  return (await consent(provider, base, clientID)).get('code');
}

// consent returns all that the redirect brings.
export async function consent(provider, base, clientID) {
  const state = randomUUID();
  const [path, query] = pages[provider](clientID, state);
  const page = new URL(path, base);
  page.search = new URLSearchParams(query).toString();

  let answer = await fetch(page, { redirect: 'manual' });
  if (answer.status === 200) {
    answer = await press(page, await answer.text());
  }
  const location = answer.headers.get('location');
  if (!location) throw new Error(`consent at ${provider} answered ${answer.status} without a redirect`);
  const back = new URL(location, page);
  if (back.searchParams.get('state') !== state) throw new Error(`consent at ${provider} brought another state`);
  if (!back.searchParams.get('code')) throw new Error(`consent at ${provider} brought no code`);
  return back.searchParams;
}

// press sends the page's form with its first button. fill says what the person
// writes into it.
export async function press(page, html, fill = {}, send = fetch) {
  const form = html.match(/<form\b([^>]*)>([\s\S]*?)<\/form>/i);
  if (!form) throw new Error('the consent page has no form');
  const body = new URLSearchParams();
  for (const [, tag] of form[2].matchAll(/<input\b([^>]*)>/gi)) {
    const name = attribute(tag, 'name');
    if (name) body.append(name, fill[name] ?? attribute(tag, 'value') ?? '');
  }
  const button = form[2].match(/<button\b([^>]*)>/i)?.[1];
  if (button && attribute(button, 'name')) body.append(attribute(button, 'name'), attribute(button, 'value') ?? '');
  const action = new URL(attribute(form[1], 'action') ?? '', page);
  return send(action, { method: (attribute(form[1], 'method') ?? 'get').toUpperCase(), body, redirect: 'manual' });
}

function attribute(tag, name) {
  const found = tag.match(new RegExp(`\\b${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, 'i'));
  if (!found) return undefined;
  const entities = { amp: '&', lt: '<', gt: '>', quot: '"', '#34': '"', '#39': "'", '#43': '+' };
  return (found[1] ?? found[2] ?? found[3]).replace(/&(\w+|#\d+);/g, (all, e) => entities[e] ?? all);
}
