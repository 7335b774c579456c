// Runs the build client of BinderHub's own pages, as published, and prints what it yields, one JSON text a line.
// Arguments: the folder whose node_modules hold it, the address of /build/, and <provider>/<spec>.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, endpoint, spec] = process.argv.slice(2);
// What the client takes for granted of the browser that it runs in.
globalThis.window = globalThis;
globalThis.document = { cookie: "", hidden: false, addEventListener() {}, removeEventListener() {} };
console.log = console.error;
process.on("unhandledRejection", (reason) => console.error(reason));

const require = createRequire(`${folder}/`);
const { BinderRepository } = await import(pathToFileURL(require.resolve("@jupyterhub/binderhub-client/client.js")));
const repository = new BinderRepository(spec, new URL(endpoint));
for await (const line of repository.fetch()) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
  if (line.phase === "ready") break;
}
repository.close();
