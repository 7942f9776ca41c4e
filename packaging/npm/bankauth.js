#!/usr/bin/env node
// Starts the binary that npm installed for this machine. Nothing is written to
// stdout here: it belongs to MCP messages.
"use strict";
const { spawn } = require("node:child_process");

const name = `${require("./package.json").name}-${process.platform}-${process.arch}`;
let program;
try {
  program = require.resolve(`${name}/bankauth${process.platform === "win32" ? ".exe" : ""}`);
} catch {
  console.error(`bankauth: the package ${name} is not installed. Install again without --omit=optional; if there is no such package, build from source.`);
  process.exit(1);
}
const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
for (const signal of signals) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`bankauth: the program cannot be started (${error.code})`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (!signal) process.exit(code);
  for (const s of signals) process.removeAllListeners(s);
  process.kill(process.pid, signal);
});
