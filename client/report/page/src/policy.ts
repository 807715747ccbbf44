// The only addresses from which this page loads scripts: those of its own data.
interface Policy {
  createScriptURL: (url: string) => string;
}

declare global {
  interface Window {
    trustedTypes?: { createPolicy: (name: string, rules: Policy) => Policy };
  }
}

const rules: Policy = {
  createScriptURL(url) {
    if (!/^(data|thumbnails)\/[\w-]+\.js$/.test(url)) throw new TypeError(`not a part of this report: ${url}`);
    return url;
  },
};
let policy: Policy | undefined;

/** An address of a script of this page's own, as the browser takes it. */
export function scriptAddress(url: string): string {
  policy ??= window.trustedTypes?.createPolicy("report", rules) ?? rules; // not before one is needed: the studio needs none
  return policy.createScriptURL(url);
}
