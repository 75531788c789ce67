#include "runtime/text/utf8.h"

namespace qiao::text {

Utf8Step NextCodePoint(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true, false};
  const Utf8Step bad{0, 1, false, false};
  int more;
  uint32_t code;
  // The second byte's range shuts out overlong forms (E0, F0), surrogates (ED) and what lies above U+10FFFF
  // (F4).
  uint32_t low = 0x80, high = 0xBF;
  if (lead < 0xC2) return bad;
  if (lead < 0xE0) {
    more = 1, code = lead & 0x1F;
  } else if (lead < 0xF0) {
    more = 2, code = lead & 0x0F;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead < 0xF5) {
    more = 3, code = lead & 0x07;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return bad;
  }
  for (int i = 1; i <= more; ++i) {
    if (static_cast<size_t>(i) >= text.size()) return {0, static_cast<uint8_t>(i), false, true};
    if (byte(i) < low || byte(i) > high) return {0, static_cast<uint8_t>(i), false, false};
    code = code << 6 | (byte(i) & 0x3F);
    low = 0x80, high = 0xBF;
  }
  return {code, static_cast<uint8_t>(more + 1), true, false};
}

void AppendUtf8(uint32_t code, std::string* out) {
  const auto put = [&](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6), put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12), put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18), put(0x80 | (code >> 12 & 0x3F)), put(0x80 | (code >> 6 & 0x3F)),
        put(0x80 | (code & 0x3F));
  }
}

namespace {

// Copies the repaired text to *out and returns how many bytes at the end could still become a code point.
size_t Repair(std::string_view text, std::string* out) {
  size_t pos = 0, copied = 0;
  while (pos < text.size()) {
    if (static_cast<unsigned char>(text[pos]) < 0x80) {
      ++pos;
      continue;
    }
    const Utf8Step step = NextCodePoint(text.substr(pos));
    if (!step.valid) {
      out->append(text.substr(copied, pos - copied));
      if (step.incomplete) return step.length;
      out->append(kReplacement);
      copied = pos + step.length;
    }
    pos += step.length;
  }
  out->append(text.substr(copied));
  return 0;
}

}  // namespace

bool IsValidUtf8(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Step step = NextCodePoint(text.substr(pos));
    if (!step.valid) return false;
    pos += step.length;
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  if (Repair(text, &out) > 0) out.append(kReplacement);
  return out;
}

void Utf8Stream::Append(std::string_view bytes, std::string* out) {
  if (held_.empty()) {
    const size_t rest = Repair(bytes, out);
    held_.assign(bytes.substr(bytes.size() - rest));
    return;
  }
  held_.append(bytes);
  const size_t rest = Repair(held_, out);
  held_.erase(0, held_.size() - rest);
}

void Utf8Stream::Finish(std::string* out) {
  if (!held_.empty()) out->append(kReplacement);
  held_.clear();
}

}  // namespace qiao::text
