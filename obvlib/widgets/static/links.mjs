// Addresses that lead to a sample.

/** The sample id that an address points to, "" for none; and the address's end that points to one. */
export function sampleOfHash(hash) {
  const found = /(?:^|[#&])sample=([^&]*)/.exec(hash);
  try {
    return found ? decodeURIComponent(found[1]) : "";
  } catch {
    return "";
  }
}

export function hashOfSample(id) {
  return `#sample=${encodeURIComponent(id)}`;
}

/** The sample that this page was opened with. JupyterLab drops the end of its address at once. */
export function linkedSample() {
  const opened = performance.getEntriesByType("navigation")[0]?.name ?? "";
  return sampleOfHash(window.location.hash) || sampleOfHash(opened.replace(/^[^#]*/, ""));
}
