// The TypeScript SDK, version 1, over stdio, or over HTTP where there is a url:
// node sdk-v1.mjs '{"command":…,"args":…,"env":…,"banks":…}'
// node sdk-v1.mjs '{"url":…,"transport":"http" or "sse","banks":…}'

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { alone } from './alone.mjs';
import { play } from './play.mjs';

const transports = { http: StreamableHTTPClientTransport, sse: SSEClientTransport };

await play(async ({ command, args, env, url, transport }, report) => {
  const connect = async () => {
    const client = new Client({ name: 'bankauth-test', version: '1' });
    await client.connect(url ? new transports[transport](new URL(url)) : new StdioClientTransport({ command, args, env, stderr: 'inherit' }));
    return client;
  };
  if (url) await alone(report, connect, (o) => [undefined, o]);
  return connect();
});
