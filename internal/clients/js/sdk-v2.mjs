// The TypeScript SDK, version 2, in the era that the argument names: legacy,
// auto, or the revision to pin. Over stdio, or over HTTP where there is a url.

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { alone } from './alone.mjs';
import { play } from './play.mjs';

const modern = '2026-07-28';

const transports = { http: StreamableHTTPClientTransport, sse: SSEClientTransport };

await play(async ({ command, args, env, era, url, transport }, report) => {
  const mode = era === 'legacy' || era === 'auto' ? era : { pin: era };
  const connect = async () => {
    const client = new Client({ name: 'bankauth-test', version: '2' }, { versionNegotiation: { mode } });
    await client.connect(url ? new transports[transport](new URL(url)) : new StdioClientTransport({ command, args, env, stderr: 'inherit' }));
    return client;
  };
  if (url) await alone(report, connect, (o) => [o]);
  const client = await connect();
  const version = client.getNegotiatedProtocolVersion();
  if (era === 'legacy' || transport === 'sse') report.check('era: a legacy revision', version && version < modern, version);
  else report.equal('era: the modern revision', version, modern);
  return client;
});
