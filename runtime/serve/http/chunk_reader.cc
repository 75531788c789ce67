#include "runtime/serve/http/chunk_reader.h"

#include <algorithm>

#include "runtime/serve/http/characters.h"
#include "runtime/text/hex.h"

namespace qiao::serve {

ChunkReader::Result ChunkReader::Take(std::string_view& bytes, std::string_view& data) {
  data = {};
  while (!bytes.empty()) {
    if (at_ == At::kData) {
      data =
          bytes.substr(0, static_cast<size_t>(std::min<int64_t>(size_, static_cast<int64_t>(bytes.size()))));
      bytes.remove_prefix(data.size());
      size_ -= static_cast<int64_t>(data.size());
      if (size_ == 0) at_ = At::kDataCr;
      return Result::kData;
    }
    const char c = bytes.front();
    bytes.remove_prefix(1);
    if (const Result result = TakeByte(c); result != Result::kMore) return result;
  }
  return Result::kMore;
}

ChunkReader::Result ChunkReader::TakeByte(char c) {
  switch (at_) {
    case At::kSize:
    case At::kExtension:
      if (++line_ > kLineBytes) return Result::kLongLine;
      if (at_ == At::kSize) {
        if (const int digit = text::HexDigit(c); digit >= 0) {
          // 15 digits fit an int64_t; zeros in front are no reason for more of them.
          if (++digits_ > 15) return Result::kBad;
          size_ = size_ * 16 + digit;
          return size_ > left_ ? Result::kTooLarge : Result::kMore;
        }
        if (digits_ == 0) return Result::kBad;
        if (c == ';') {
          at_ = At::kExtension;
          return Result::kMore;
        }
      }
      if (c == '\r') {
        at_ = At::kSizeLf;
        return Result::kMore;
      }
      return at_ == At::kExtension && IsValueCharacter(c) ? Result::kMore : Result::kBad;
    case At::kSizeLf:
      if (c != '\n') return Result::kBad;
      left_ -= size_;
      digits_ = line_ = 0;
      at_ = size_ > 0 ? At::kData : At::kTrailerStart;
      return Result::kMore;
    case At::kData:
      return Result::kBad;  // Take's
    case At::kDataCr:
      at_ = At::kDataLf;
      return c == '\r' ? Result::kMore : Result::kBad;
    case At::kDataLf:
      at_ = At::kSize;
      return c == '\n' ? Result::kMore : Result::kBad;
    case At::kTrailerStart:
      if (c == '\r') {
        at_ = At::kEndLf;
        return Result::kMore;
      }
      colon_ = false;
      at_ = At::kTrailer;
      if (!IsTokenCharacter(c)) return Result::kBad;
      return --trailers_ < 0 ? Result::kTrailers : Result::kMore;
    case At::kTrailer:
      if (--trailers_ < 0) return Result::kTrailers;
      if (c == '\r') {
        at_ = At::kTrailerLf;
        return colon_ ? Result::kMore : Result::kBad;
      }
      if (!colon_ && c == ':') {
        colon_ = true;
        return Result::kMore;
      }
      return (colon_ ? IsValueCharacter(c) : IsTokenCharacter(c)) ? Result::kMore : Result::kBad;
    case At::kTrailerLf:
      at_ = At::kTrailerStart;
      return c == '\n' ? Result::kMore : Result::kBad;
    case At::kEndLf:
      return c == '\n' ? Result::kDone : Result::kBad;
  }
  return Result::kBad;
}

}  // namespace qiao::serve
