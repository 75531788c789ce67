// Numbers in words: decimal units, three digits, thousands with commas.

export function count(value) {
  return Math.round(value).toLocaleString('en-US');
}

function digits(value) {
  const size = Math.abs(value);
  return value.toLocaleString('en-US', {maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 1 : 2});
}

function withUnit(value, units, step = 1000) {
  let unit = 0;
  // 999.6 would be shown as 1,000 of the smaller unit.
  while (unit + 1 < units.length && Math.abs(value) >= step * 0.9995) {
    value /= step;
    ++unit;
  }
  return `${unit === 0 ? count(value) : digits(value)}\u00a0${units[unit]}`;
}

export const bytes = (value) => withUnit(value, ['B', 'kB', 'MB', 'GB', 'TB', 'PB']);
export const flops = (value) => withUnit(value, ['FLOP', 'kFLOP', 'MFLOP', 'GFLOP', 'TFLOP', 'PFLOP', 'EFLOP']);
export function amount(value) {
  return value < 1000 ? count(value) : withUnit(value, ['', 'thousand', 'million', 'billion', 'trillion']);
}

export function seconds(value) {
  const size = Math.abs(value);
  if (size >= 60) return `${Math.floor(value / 60)}\u00a0min ${Math.round(value % 60)}\u00a0s`;
  if (size >= 1) return `${digits(value)}\u00a0s`;
  if (size >= 0.0995) return `${value.toFixed(2)}\u00a0s`;
  if (size === 0) return '0\u00a0s';
  const ms = value * 1000;
  return `${Math.abs(ms) >= 1 ? digits(Math.round(ms * 10) / 10) : ms.toPrecision(1)}\u00a0ms`;
}

export function rate(value) {
  return value >= 100 ? count(value) : value >= 10 ? value.toFixed(1) : value.toFixed(value === 0 ? 0 : 2);
}

export function times(value) {
  return `${value >= 100 ? count(value) : value >= 10 ? value.toFixed(0) : value.toFixed(1)}\u00d7`;
}

export function percent(share) {
  const value = share * 100;
  return `${value >= 10 || value === 0 ? Math.round(value) : value.toFixed(1)}\u00a0%`;
}

export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}
