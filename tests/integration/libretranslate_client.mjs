// What npm's `libretranslate` does, with plain fetch: node libretranslate_client.mjs URL TEXT TARGET
// It looks both languages up in the list, then asks; the answer goes to stdout as JSON.
const [url, text, target] = process.argv.slice(2);
const headers = { "Content-Type": "application/json" };

const listed = await (await fetch(`${url}/languages`, { method: "GET", headers })).json();
const codes = ["auto", ...listed.map((language) => language.code)];
if (!codes.includes(target)) throw new TypeError(`${target} is not listed`);

async function ask(fields) {
  const response = await fetch(`${url}/translate`, { method: "POST", body: JSON.stringify(fields), headers });
  return { status: response.status, ...(await response.json()) };
}

const good = await ask({ q: text, source: "auto", target, format: "text", apiKey: "" });
const list = await ask({ q: [text, text], source: "en", target });
const bad = await ask({ q: text, source: "en", target: "tlh" });
const form = new URLSearchParams({ q: text, source: "en", target });
const posted = await (await fetch(`${url}/translate`, { method: "POST", body: form })).json();
const parts = new FormData();
for (const [name, value] of Object.entries({ q: text, source: "en", target })) parts.append(name, value);
const multipart = await (await fetch(`${url}/translate`, { method: "POST", body: parts })).json();
console.log(JSON.stringify({ good, list, bad, posted, multipart }));
