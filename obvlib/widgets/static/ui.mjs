// What every widget is made of: elements, buttons, keys, files and the clipboard.
// Text from data is only ever set as text, never as HTML.
/** An element: h("button.small", {onclick, "aria-label": …}, "text", child …). */
export function h(spec, attributes = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (["value", "checked", "disabled", "hidden", "tabIndex", "src"].includes(name))
      element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

export function button(text, label, action, attributes = {}) {
  return h(
    "button.obv-button",
    { type: "button", "aria-label": label, title: label, onclick: action, ...attributes },
    text,
  );
}

export function press(element, isOn) {
  element.setAttribute("aria-pressed", String(isOn));
}

export function select(label, options, value, action) {
  const entries = options.map(([key, text]) => h("option", { value: key }, text));
  const element = h(
    "select",
    { onchange: (event) => action(event.target.value), "aria-label": label },
    entries,
  );
  element.value = value;
  return element;
}

/** Keys for a whole widget: none reaches the notebook around it, none is taken while somebody types. */
export function bindKeys(root, keys) {
  root.dataset.lmSuppressShortcuts = "true";
  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    const typing = event.target.closest("input, textarea, select, [role=slider]");
    if (typing && event.key === "Escape") return root.focus();
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const isButton =
      event.target.closest("button, a, summary") && [" ", "Enter"].includes(event.key);
    const action = keys[event.key];
    if (!action || isButton) return;
    event.preventDefault();
    action(event);
  });
  for (const name of ["keyup", "keypress"])
    root.addEventListener(name, (event) => event.stopPropagation());
}

export function imageUrl(buffer) {
  const bytes = new Uint8Array(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, buffer.byteLength);
  const type = bytes[0] === 0x89 ? "image/png" : "image/jpeg";
  return URL.createObjectURL(new Blob([bytes], { type }));
}

export function textOf(buffer) {
  return new TextDecoder().decode(buffer);
}

/** Offer text as a file, made in this page. */
export function download(name, text) {
  const link = h("a", {
    href: URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" })),
    download: name,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Put text on the clipboard where the page may. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
