// What every client needs of tools/list before it calls anything.

import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';

export const toolNames = ['create_access_token', 'create_user', 'refresh_token'];

const drafts = { 'draft-07': Ajv, '2020-12': Ajv2020 };

export function checkListing(report, tools) {
  report.equal('list: the three tools', tools.map((t) => t.name).sort(), toolNames);
  for (const tool of tools) {
    report.check(`list: ${tool.name} has a title and a description`, tool.title && tool.description, tool);
    for (const hint of ['readOnlyHint', 'destructiveHint', 'idempotentHint', 'openWorldHint']) {
      report.check(`list: ${tool.name} sets ${hint}`, typeof tool.annotations?.[hint] === 'boolean', tool.annotations);
    }
    for (const part of ['inputSchema', 'outputSchema']) {
      for (const [draft, Validator] of Object.entries(drafts)) {
        checkSchema(report, `list: ${tool.name} ${part} compiles in strict ${draft}`, Validator, tool[part]);
      }
    }
  }
}

function checkSchema(report, name, Validator, schema) {
  try {
    const complaints = [];
    const log = { log: (m) => complaints.push(m), warn: (m) => complaints.push(m), error: (m) => complaints.push(m) };
    new Validator({ strict: true, strictRequired: true, allErrors: true, logger: log }).compile(schema);
    report.check(name, schema?.type === 'object' && complaints.length === 0, complaints);
  } catch (error) {
    report.check(name, false, error);
  }
}

// outputs returns a function that says what is wrong with a tool's structured
// result by the schema that the tool published, or null.
export function outputs(tools) {
  const compiled = new Map();
  for (const tool of tools) {
    compiled.set(tool.name, new Ajv2020({ strict: true, allErrors: true }).compile(tool.outputSchema));
  }
  return (name, value) => {
    const validate = compiled.get(name);
    return validate(value) ? null : validate.errors;
  };
}
