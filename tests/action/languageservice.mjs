// Checks workflows and actions as GitHub's own editor does, and prints what it finds: one JSON text a file.
// Arguments: the folder whose node_modules hold it, the manifest of our action, and the files.
import fs from "node:fs";
import { createRequire, register } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, manifest, ...files] = process.argv.slice(2);
// It is made for a bundler, which takes JSON for a module without being told that it is JSON.
const hook = `import fs from "node:fs";
export const load = async (url, context, next) =>
  url.endsWith(".json")
    ? { format: "module", source: "export default " + fs.readFileSync(new URL(url), "utf8"), shortCircuit: true }
    : next(url, context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

const require = createRequire(`${folder}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { validate } = await import(pathToFileURL(`${folder}/node_modules/@actions/languageservice/dist/index.js`));
const { TextDocument } = await load("vscode-languageserver-textdocument");
const yaml = await load("yaml");

// What `uses:` of ours is checked against; of others' actions nothing is known here.
const ours = yaml.parse(fs.readFileSync(manifest, "utf8"));
const actionsMetadataProvider = {
  fetchActionMetadata: async (action) => (action.name === "binder-action" ? ours : undefined),
};
for (const file of files) {
  const text = fs.readFileSync(file, "utf8");
  const found = await validate(TextDocument.create(`file://${file}`, "yaml", 1, text), { actionsMetadataProvider });
  const told = found.map((one) => `line ${one.range.start.line + 1}: ${one.message}`);
  process.stdout.write(`${JSON.stringify({ file, told })}\n`);
}
