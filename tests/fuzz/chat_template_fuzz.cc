// Chat templates: the input is a template, a NUL, and a context as JSON. Small limits keep each input fast.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t split = input.find('\0');
  const std::string_view source = input.substr(0, split);
  qiao::text::ChatTemplateLimits limits;
  limits.max_steps = 200'000;
  limits.max_output_bytes = limits.max_string_bytes = 1 << 20;
  limits.max_value_bytes = 16 << 20;
  const auto parsed = qiao::text::ChatTemplate::Parse(source, "fuzz", limits);
  if (!parsed.ok()) return 0;
  qiao::OrderedJson context = qiao::OrderedJson::object();
  if (split != input.npos) {
    auto json = qiao::ParseOrderedJson(input.substr(split + 1), "context");
    if (json.ok() && json->is_object()) context = *std::move(json);
  }
  (void)parsed->Render(context, limits, [] { return std::tm{}; });
  return 0;
}
