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

/** Send a document; `sent` hears how much of it is on its way, from 0 to 1. Only XMLHttpRequest tells that. */
function uploadDocument(file, readers, sent) {
  const asked = new URLSearchParams([["name", file.name], ...readers.map((one) => ["readers", one])]);
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/knowledge/documents?${asked}`);
    request.upload.addEventListener("progress", (event) => event.lengthComputable && sent(event.loaded / event.total));
    request.addEventListener("error", () => fail(new ApiError(0, "unreachable", "")));
    request.addEventListener("load", () => {
      const data = parsed(request.responseText);
      if (request.status < 300) done(data);
      else fail(new ApiError(request.status, data?.error?.code ?? "unknown", data?.error?.text ?? `HTTP ${request.status}`));
    });
    request.send(file);
  });
}

export const api = {
  uploadDocument,
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
  find: (question, everyone) => call("POST", "/api/search", { question, everyone }),
  documents: (asked) => call("GET", `/api/knowledge/documents?${asked}`),
  removeDocument: (id) => call("DELETE", `/api/knowledge/documents/${id}`),
  grant: (id, readers) => call("PUT", `/api/knowledge/documents/${id}/readers`, { readers }),
  sources: () => call("GET", "/api/knowledge/sources"),
  readers: () => call("GET", "/api/knowledge/readers"),
  unanswered: () => call("GET", "/api/knowledge/unanswered"),
  settle: (jobs, done) => call("POST", "/api/knowledge/unanswered", { jobs, done }),
  styles: () => call("GET", "/api/styles"),
  sizes: () => call("GET", "/api/sizes"),
  templates: () => call("GET", "/api/templates"),
  commands: () => call("GET", "/api/commands"),
};
