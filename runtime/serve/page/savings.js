// What an answer cost, and what Qiao's parts saved on it, in words and numbers. No elements here: efficiency.js draws.
import * as format from './format.js';

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

// The line under an answer.
export function summaryOf({efficiency, usage, ttft}) {
  const parts = [];
  const tokens = efficiency?.completion_tokens ?? usage?.completion_tokens;
  if (isNumber(tokens)) parts.push(format.plural(tokens, 'token'));
  if (isNumber(efficiency?.tokens_per_second) && efficiency.tokens_per_second > 0) {
    parts.push(`${format.rate(efficiency.tokens_per_second)} tok/s`);
  }
  const first = efficiency?.ttft_seconds ?? ttft;
  if (isNumber(first) && parts.length > 0) parts.push(`first after ${format.seconds(first)}`);
  return parts.join(' \u00b7 ');
}

// The phases of an answer: [{name, seconds, words}].
export function phasesOf(e) {
  const fresh = Math.max(0, (e.prompt_tokens || 0) - (e.cached_tokens || 0));
  return [
    {name: 'Waiting', seconds: e.queue_seconds, words: 'for a place'},
    {name: 'Reading', seconds: e.prefill_seconds, words: format.plural(fresh, 'prompt token')},
    {name: 'Writing', seconds: e.decode_seconds, words: format.plural(e.completion_tokens || 0, 'token')},
  ].filter((phase) => isNumber(phase.seconds));
}

// The five parts: [{id, name, used, value, ratio, bars: [with, without], text}]; `text` is why where it is not used.
// `model`: of /v1/stats, or null.
export function savingsOf(e, model) {
  return [mla(e, model), experts(e, model), fp8(e, model), prefixCache(e), mtp(e, model)];
}

const unused = (id, name, text) => ({id, name, used: false, text});

function pair(has, without, show) {
  return {
    value: `${show(has)} instead of ${show(without)}`,
    ratio: has > 0 ? format.times(without / has) : '',
    bars: [has, without],
  };
}

const helps = (part, has, without) => isNumber(part?.[has]) && isNumber(part?.[without]) && part[without] > part[has];

function mla(e, model) {
  const name = 'MLA: a smaller cache';
  if (!helps(e.mla, 'bytes', 'bytes_without')) {
    return unused('mla', name, 'this model keeps the keys and values of every head.');
  }
  const each = model?.cache_bytes_per_token ? ` That is ${format.bytes(model.cache_bytes_per_token)} a token.` : '';
  return {
    id: 'mla', name, used: true, ...pair(e.mla.bytes, e.mla.bytes_without, format.bytes),
    text: 'The cache of this conversation holds one small vector a token and layer, not keys and values for every ' +
          `head.${each}`,
  };
}

function experts(e, model) {
  const name = 'Experts: less arithmetic';
  if (!helps(e.experts, 'flops', 'flops_without')) {
    return unused('experts', name, 'every token goes through all of this model.');
  }
  const which = model?.experts > 0 && model?.experts_per_token > 0
    ? `${format.count(model.experts_per_token)} of ${format.count(model.experts)} experts` : 'a few of the experts';
  return {
    id: 'experts', name, used: true, ...pair(e.experts.flops, e.experts.flops_without, format.flops),
    text: `Each token went through ${which} in a layer, chosen by the model's router. The rest did no work.`,
  };
}

function fp8(e, model) {
  const name = 'FP8: lighter weights';
  if (!helps(e.fp8, 'bytes', 'bytes_without')) {
    const stored = model?.weight_format;
    return unused('fp8', name, stored ? `the weights are stored as ${stored}.` : 'the weights are not stored in FP8.');
  }
  return {
    id: 'fp8', name, used: true, ...pair(e.fp8.bytes, e.fp8.bytes_without, format.bytes),
    text: 'Weights stay in memory as they were published, most of them one byte a number. In BF16 each takes two.',
  };
}

function prefixCache(e) {
  const name = 'Prefix cache: no rereading';
  const tokens = e.prefix_cache?.tokens ?? e.cached_tokens ?? 0;
  if (!(tokens > 0)) return unused('prefix', name, 'no earlier request began with the same text.');
  const total = Math.max(e.prompt_tokens || 0, tokens);
  const read = total - tokens;
  const saved = e.prefix_cache?.seconds_saved;
  return {
    id: 'prefix', name, used: true,
    value: `${format.count(read)} instead of ${format.plural(total, 'prompt token')} read`,
    ratio: read > 0 ? format.times(total / read) : '',
    bars: [read, total],
    text: `The other ${format.count(tokens)} were still in the cache from an earlier request` +
          `${isNumber(saved) && saved > 0 ? `, which saved about ${format.seconds(saved)}` : ''}.`,
  };
}

function mtp(e, model) {
  const name = 'MTP: tokens guessed ahead';
  if (!e.mtp) {
    const able = !model || model.mtp;
    return unused('mtp', name, able ? 'drafting was off for this answer.' : 'this model has no layer that guesses ahead.');
  }
  const {drafted, accepted, seconds_saved: saved} = e.mtp;
  if (!(drafted > 0)) {
    return unused('mtp', name, 'checking guesses would have cost more than it wins, as things were.');
  }
  let effect = '';
  if (isNumber(saved) && saved > 0) effect = ` That saved about ${format.seconds(saved)}.`;
  if (isNumber(saved) && saved < 0) effect = ` Checking them cost ${format.seconds(-saved)} more than they won.`;
  return {
    id: 'mtp', name, used: true,
    value: `${format.count(accepted)} of ${format.plural(drafted, 'guess', 'guesses')} right`,
    ratio: format.percent(accepted / drafted),
    bars: [accepted, drafted],
    text: `A right guess is a token that needs no step of its own; the text is the same without.${effect}`,
  };
}
