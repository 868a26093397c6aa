// The server, as functions. A refusal becomes an ApiError with the server's own sentence.

export class ApiError extends Error {
  constructor(status, code, text) {
    super(text);
    this.status = status; // 0: the server was not reached
    this.code = code;
  }
}

async function call(method, path, body) {
  const options = { method, headers: {} };
  if (body instanceof Blob) {
    options.body = body;
  } else if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ApiError(0, "unreachable", "");
  }
  const text = await response.text();
  const data = parsed(text);
  if (response.ok) return data;
  throw new ApiError(response.status, data?.error?.code ?? "unknown", data?.error?.text ?? `HTTP ${response.status}`);
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null; // a proxy's own error page
  }
}

export const api = {
  session: () => call("GET", "/api/session"),
  signIn: (body) => call("POST", "/api/session", body),
  signOut: () => call("DELETE", "/api/session"),
  history: (before) => call("GET", `/api/messages${before ? `?before=${before}` : ""}`),
  write: (id, text, picture) => call("POST", "/api/messages", { id, text, picture }),
  upload: (file) => call("POST", "/api/pictures", file),
  press: (id, value, action, message, form = {}) => call("POST", "/api/actions", { id, value, action, message, form }),
  gallery: (asked) => call("GET", `/api/gallery?${asked}`),
  galleryChoices: () => call("GET", "/api/gallery/choices"),
  exportable: (asked) => call("GET", `/api/gallery/export?${asked}`),
  /** Why an address gives nothing any more, in the server's words; empty when it may only be unreachable. */
  why: (path) => call("GET", path).then(() => "", (error) => (error.status === 410 ? error.message : "")),
  styles: () => call("GET", "/api/styles"),
  sizes: () => call("GET", "/api/sizes"),
  templates: () => call("GET", "/api/templates"),
  commands: () => call("GET", "/api/commands"),
};
