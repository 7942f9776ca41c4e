// The TypeScript SDK, version 2, in the era that the argument names: legacy,
// auto, or the revision to pin.

import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { play } from './play.mjs';

const modern = '2026-07-28';

await play(async ({ command, args, env, era }, report) => {
  const mode = era === 'legacy' || era === 'auto' ? era : { pin: era };
  const client = new Client({ name: 'bankauth-test', version: '2' }, { versionNegotiation: { mode } });
  await client.connect(new StdioClientTransport({ command, args, env, stderr: 'inherit' }));
  const version = client.getNegotiatedProtocolVersion();
  if (era === 'legacy') report.check('era: a legacy revision', version && version < modern, version);
  else report.equal('era: the modern revision', version, modern);
  return client;
});
