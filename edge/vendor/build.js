// Writes ../gatehouse_ui/static/vendor: one module and the licences of what is in it. Same input, same bytes.
import { readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const target = process.argv[2] ?? "../gatehouse_ui/static/vendor";
const { dependencies } = JSON.parse(await readFile("package.json", "utf8"));
const parts = [...Object.keys(dependencies), "@preact/signals-core"].sort();
const named = await Promise.all(parts.map(async (name) => {
  const { version, license } = JSON.parse(await readFile(`node_modules/${name}/package.json`, "utf8"));
  return { name, version, license, text: (await readFile(`node_modules/${name}/LICENSE`, "utf8")).trim() };
}));
await build({
  entryPoints: ["preact.js"],
  outfile: `${target}/preact.js`,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  banner: { js: `/* ${named.map(({ name, version, license }) => `${name} ${version} (${license})`).join(", ")}; see LICENSES.txt; made by make vendor */` },
});
const texts = named.map(({ name, version, license, text }) => `${name} ${version}, ${license}\n${"=".repeat(60)}\n${text}\n`);
await writeFile(`${target}/LICENSES.txt`, texts.join("\n\n"));
