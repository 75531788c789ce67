// Server-sent events (the WHATWG's format) from the body of a fetch: {data}, or {comment} for lines after ':'.

export async function* serverEvents(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let data = [];
  try {
    for (;;) {
      const {done, value} = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, {stream: true});
      // A '\r' at the end may be half of a "\r\n".
      const usable = !done && rest.endsWith('\r') ? rest.length - 1 : rest.length;
      const lines = rest.slice(0, usable).split(/\r\n|\n|\r/);
      rest = lines.pop() + rest.slice(usable);
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) yield {data: data.join('\n')};
          data = [];
        } else if (line[0] === ':') {
          yield {comment: line.slice(1).trim()};
        } else if (line.startsWith('data:')) {
          data.push(line.slice(line[5] === ' ' ? 6 : 5));
        }
      }
      if (done) return;  // an event without its blank line was cut off
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
