// The files of the web page, within the program. The server answers "/" with index.html, and "/page/NAME" with the
// others; the page asks for nothing that is not the server's own, and has no inline script or style, so that
// "Content-Security-Policy: default-src 'self'" holds.
#pragma once

#include <string_view>

#include "absl/types/span.h"

namespace qiao::serve {

struct PageFile {
  std::string_view name;          // "app.js"
  std::string_view content_type;  // "text/javascript; charset=utf-8"
  std::string_view body;
  std::string_view etag;  // of the content, with its quotes, as it stands in a header
};

// All of them, by name in order. They live as long as the program; any thread.
absl::Span<const PageFile> PageFiles();

}  // namespace qiao::serve
