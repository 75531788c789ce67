#include "runtime/text/detokenizer.h"

#include <algorithm>
#include <utility>

namespace qiao::text {

std::string Detokenizer::Push(int32_t id) {
  std::string out;
  if (skip_special_ && tokenizer_->is_special(id)) return out;
  if (const std::string_view piece = tokenizer_->PieceOf(id); !piece.empty()) {
    tokenizer_->decoder().Push(piece, &state_, &out);
  }
  return out;
}

std::string Detokenizer::Finish() {
  std::string out;
  tokenizer_->decoder().Finish(&state_, &out);
  state_ = {};
  return out;
}

StopMatcher::StopMatcher(std::vector<std::string> stops) {
  for (size_t i = 0; i < stops.size(); ++i) {
    if (stops[i].empty()) continue;
    Stop stop{.text = std::move(stops[i]), .index = static_cast<int>(i), .border = {0, 0}};
    for (size_t n = 1, k = 0; n < stop.text.size(); ++n) {
      while (k > 0 && stop.text[n] != stop.text[k]) k = stop.border[k];
      if (stop.text[n] == stop.text[k]) ++k;
      stop.border.push_back(k);
    }
    stops_.push_back(std::move(stop));
  }
}

std::string StopMatcher::Push(std::string_view text) {
  if (stopped()) return {};
  for (const char c : text) {
    held_.push_back(c);
    const Stop* ended = nullptr;
    for (Stop& stop : stops_) {
      size_t& k = stop.length;
      while (k > 0 && c != stop.text[k]) k = stop.border[k];
      if (c == stop.text[k]) ++k;
      if (k == stop.text.size() && (!ended || stop.text.size() > ended->text.size())) ended = &stop;
    }
    if (ended) {
      matched_ = ended->index;
      held_.resize(held_.size() - ended->text.size());
      return std::exchange(held_, {});
    }
  }
  size_t keep = 0;
  for (const Stop& stop : stops_) keep = std::max(keep, stop.length);
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopMatcher::Finish() { return std::exchange(held_, {}); }

}  // namespace qiao::text
