// Requests to the server that served the page. A 401 asks for the key and tries again.
import {askForKey} from './key.js';
import * as store from './store.js';

export class ApiError extends Error {
  constructor(message, {status = 0, requestId = '', code = '', retryAfter = 0} = {}) {
    super(message);
    Object.assign(this, {status, requestId, code, retryAfter});
  }
}

// A response with a good status, or ApiError. Paths are relative to the page, which may sit behind a proxy's prefix.
export async function request(path, {body, signal, ask = true} = {}) {
  for (;;) {
    const key = store.key();
    const response = await send(path, body, signal, key);
    if (response.ok) return response;
    if (response.status === 401 && ask && await askForKey(Boolean(key))) continue;
    throw await errorOf(response);
  }
}

async function send(path, body, signal, key) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (key) headers.Authorization = `Bearer ${key}`;
  try {
    return await fetch(path, {
      method: body === undefined ? 'GET' : 'POST',
      body: body === undefined ? undefined : JSON.stringify(body),
      headers, signal, cache: 'no-store',
      // With a key of our own, the browser's stored password and its dialog stay out of it.
      credentials: key ? 'omit' : 'same-origin',
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('The server cannot be reached. It may have been stopped, or the network is down.');
  }
}

async function errorOf(response) {
  const about = {
    status: response.status,
    requestId: response.headers.get('x-request-id') || '',
    retryAfter: Number(response.headers.get('retry-after')) || 0,
  };
  let text = '';
  try {
    text = await response.text();
    return errorFromJson(JSON.parse(text), about);
  } catch {
    return new ApiError(text.slice(0, 500) || `The server answered with status ${response.status}.`, about);
  }
}

// {"error": {"message", "type", "code"}}, as the body of a status or within a stream.
export function errorFromJson(json, about = {}) {
  const error = json?.error ?? json;
  const message = typeof error === 'string' ? error : error?.message;
  return new ApiError(message || 'The server reported an error and did not say which.', {
    ...about,
    code: String(error?.code ?? error?.type ?? ''),
    requestId: about.requestId || json?.request_id || error?.request_id || '',
  });
}
