// One answer: the request made from a conversation and the settings, and what comes back, put into `answer`.
//
// A message of a conversation is {role: 'user', text} or an answer:
//   {role: 'assistant', text, thinking, thinkingSeconds, tools: [{id, name, arguments}], finish, usage, efficiency,
//    ttft, error: {message, requestId, status, code}, stopped, plain}
// `plain`: from completion mode, to be shown as it is. While it is written it also has {running, started, progress}.
import {errorFromJson, request} from './api.js';
import {serverEvents} from './sse.js';

export const newAnswer = (plain) => ({
  role: 'assistant', text: '', thinking: '', thinkingSeconds: 0, tools: [], plain, running: true,
  started: performance.now(),
});

// A number from a form field, or undefined: then the server decides.
function numberOf(text) {
  const value = Number(text);
  return text.trim() === '' || !Number.isFinite(value) ? undefined : value;
}

function options(settings) {
  const stop = settings.stop.split('\n').filter((line) => line !== '').map((line) => line.replaceAll('\\n', '\n'));
  return {
    stream: true,
    stream_options: {include_usage: true},
    efficiency: true,
    temperature: numberOf(settings.temperature),
    top_p: numberOf(settings.top_p),
    max_tokens: numberOf(settings.max_tokens),
    seed: numberOf(settings.seed),
    stop: stop.length > 0 ? stop : undefined,
    response_format: settings.json ? {type: 'json_object'} : undefined,
  };
}

// Questions without an answer (it failed) are left out: templates want the two to take turns.
function pairs(messages) {
  const said = [];
  messages.forEach((message, i) => {
    if (message.role === 'user') {
      const next = messages[i + 1];
      if (i === messages.length - 1 || (next.role === 'assistant' && next.text !== '')) said.push(message);
    } else if (message.text !== '') {
      said.push(message);
    }
  });
  return said;
}

export function chatBody(messages, settings, model) {
  const said = pairs(messages).map(({role, text}) => ({role, content: text}));
  if (settings.system.trim() !== '') said.unshift({role: 'system', content: settings.system});
  return {model, messages: said, ...options(settings)};
}

// The model continues all of the text so far; what the person adds begins a new line.
export function completionBody(messages, settings, model) {
  let prompt = '';
  for (const {role, text} of pairs(messages)) prompt += role === 'user' && prompt !== '' ? `\n${text}` : text;
  return {model, prompt, ...options(settings)};
}

// Asks for the answer to `messages`, of the model that modelName() gives, and fills `answer` until it ends; changed() is
// called whenever there is more.
// Never throws: what went wrong is in answer.error, and answer.stopped says that `signal` ended it.
export async function runTurn({messages, settings, modelName, answer, signal, changed}) {
  try {
    const model = await modelName();
    const path = settings.completion ? 'v1/completions' : 'v1/chat/completions';
    const body = (settings.completion ? completionBody : chatBody)(messages, settings, model);
    const response = await request(path, {body, signal});
    const requestId = response.headers.get('x-request-id') || '';
    let whole = false;
    for await (const event of serverEvents(response.body)) {
      if (event.comment !== undefined) {
        takeComment(answer, event.comment);
      } else if (event.data === '[DONE]') {
        whole = true;
      } else {
        takeChunk(answer, parse(event.data, requestId), requestId);
      }
      changed();
    }
    if (!whole && !answer.finish) {
      throw errorFromJson('The connection ended before the answer did.', {requestId});
    }
  } catch (error) {
    if (signal.aborted) {
      answer.stopped = true;
    } else {
      const lost = error instanceof TypeError;  // what a broken connection throws while reading
      answer.error = {
        message: lost ? 'The connection broke before the answer was complete.' : error.message,
        requestId: error.requestId || '', status: error.status || 0, code: error.code || '',
        retryAfter: error.retryAfter || 0,
      };
    }
  }
  endThinking(answer);
  delete answer.progress;
  delete answer.started;
  delete answer.running;
  changed();
}

function parse(data, requestId) {
  try {
    return JSON.parse(data);
  } catch {
    throw errorFromJson('The server sent something that is not JSON.', {requestId});
  }
}

// ": prefill 512/3000", while a long prompt is read.
function takeComment(answer, comment) {
  const match = /^prefill (\d+)\/(\d+)$/.exec(comment);
  if (match) answer.progress = {done: Number(match[1]), total: Number(match[2])};
}

function takeChunk(answer, chunk, requestId) {
  if (chunk.error) throw errorFromJson(chunk, {requestId});
  const choice = chunk.choices?.[0];
  if (choice) {
    const delta = choice.delta || {content: choice.text};
    if (delta.reasoning_content) {
      begin(answer);
      answer.thinkingStarted ??= performance.now();
      answer.thinking += delta.reasoning_content;
    }
    if (delta.content) {
      begin(answer);
      endThinking(answer);
      answer.text += delta.content;
    }
    for (const call of delta.tool_calls || []) {
      begin(answer);
      endThinking(answer);
      takeToolCall(answer, call);
    }
    if (choice.finish_reason) answer.finish = choice.finish_reason;
  }
  if (chunk.usage) answer.usage = chunk.usage;
  if (chunk.efficiency) answer.efficiency = chunk.efficiency;
}

// The first token is here.
function begin(answer) {
  answer.ttft ??= (performance.now() - answer.started) / 1000;
  delete answer.progress;
}

function endThinking(answer) {
  if (answer.thinkingStarted === undefined) return;
  answer.thinkingSeconds = (performance.now() - answer.thinkingStarted) / 1000;
  delete answer.thinkingStarted;
}

function takeToolCall(answer, call) {
  const index = Math.min(call.index ?? answer.tools.length, 127);
  while (answer.tools.length <= index) answer.tools.push({id: '', name: '', arguments: ''});
  const tool = answer.tools[index];
  tool.id ||= call.id || '';
  tool.name += call.function?.name || '';
  tool.arguments += call.function?.arguments || '';
}
