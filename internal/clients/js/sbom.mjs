// node sbom.mjs FILE: validates a CycloneDX document, strictly.
import { readFileSync } from "node:fs";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";

const text = readFileSync(process.argv[2], "utf8");
const version = JSON.parse(text).specVersion;
const wrong = await new Validation.JsonStrictValidator(version).validate(text);
if (wrong !== null) {
  console.error(JSON.stringify(wrong, null, 1));
  process.exit(1);
}
console.log(Spec.Version[`v1dot${version.split(".")[1]}`], "valid");
