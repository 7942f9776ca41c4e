// One line of JSON on stdout for each check; the Go test reports those that
// are not ok. A script that ends without its last line has failed.

import { isDeepStrictEqual } from 'node:util';

export class Report {
  constructor() {
    this.failed = 0;
  }

  check(name, ok, detail) {
    if (!ok) this.failed++;
    process.stdout.write(JSON.stringify({ name, ok: Boolean(ok), detail: ok ? undefined : brief(detail) }) + '\n');
    return Boolean(ok);
  }

  equal(name, got, want) {
    return this.check(name, isDeepStrictEqual(got, want), { got, want });
  }

  async attempt(name, run) {
    try {
      return await run();
    } catch (error) {
      this.check(name, false, error);
      return undefined;
    }
  }

  end() {
    process.stdout.write(JSON.stringify({ name: 'end', ok: true }) + '\n');
    process.exitCode = this.failed ? 1 : 0;
  }
}

function brief(detail) {
  const text = detail instanceof Error ? `${detail.name} ${detail.code ?? ''}: ${detail.message}` : JSON.stringify(detail);
  return (text ?? String(detail)).slice(0, 2000);
}
