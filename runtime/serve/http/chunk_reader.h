// The chunked coding of RFC 9112, section 7.1, a byte at a time, so that pieces may end anywhere. Extensions and
// trailers are checked, bounded and dropped.
#pragma once

#include <cstdint>
#include <string_view>

namespace qiao::serve {

class ChunkReader {
 public:
  enum class Result {
    kMore,      // everything was taken
    kData,      // `data` holds bytes of the body
    kDone,      // the last chunk and the trailers are through
    kBad,       // against the grammar
    kTooLarge,  // more than `most_bytes` of data announced
    kLongLine,  // a line of size and extensions beyond kLineBytes
    kTrailers,  // trailers beyond `most_trailer_bytes`
  };
  static constexpr int kLineBytes = 256;

  ChunkReader(int64_t most_bytes, int64_t most_trailer_bytes)
      : left_(most_bytes), trailers_(most_trailer_bytes) {}

  // Takes bytes from the front of `bytes`, which it shortens. `data` is a part of what was taken. After kDone and the
  // errors it must not be called again.
  Result Take(std::string_view& bytes, std::string_view& data);

 private:
  enum class At {
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kEndLf
  };

  Result TakeByte(char c);

  At at_ = At::kSize;
  bool colon_ = false;  // seen in the trailer's line
  int digits_ = 0;      // of the size
  int line_ = 0;        // bytes of the line of the size
  int64_t size_ = 0;    // what is left of this chunk
  int64_t left_;        // data that may still come
  int64_t trailers_;    // bytes of trailers that may still come
};

}  // namespace qiao::serve
