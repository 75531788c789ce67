// What a person sees: numbers, colours, tables, progress bars, errors. Results go to stdout, everything about
// them to stderr, so that a pipe gets results only. Colours and bars appear on a terminal, and colours not
// where NO_COLOR is set (no-color.org).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/base/progress.h"
#include "runtime/base/status.h"

namespace qiao::tools {

bool StdinIsTerminal();
bool StdoutIsTerminal();
bool StderrIsTerminal();

enum class Style { kBold, kDim, kRed, kGreen, kYellow, kCyan };
// `text` in that style where stdout (stderr) shows colours, else as it is.
std::string Out(Style style, std::string_view text);
std::string Err(Style style, std::string_view text);

// Text from files (names of tensors, keys, paths) without control characters: they become \xNN.
std::string Printable(std::string_view text);

std::string Grouped(uint64_t n);      // "9,179,648"
std::string Bytes(uint64_t bytes);    // "13.6 MB": powers of 1000, as disks and models are advertised
std::string Rounded(uint64_t n);      // "671.0 B", "9.2 M"
std::string Rate(double per_second);  // "1,234" or "12.3"

// Columns as wide as their widest cell. Cells may hold styles; rows may be shorter than the widest.
class Table {
 public:
  enum Align { kLeft, kRight };
  explicit Table(std::vector<Align> align, int indent = 2) : align_(std::move(align)), indent_(indent) {}
  void Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string Text() const;
  bool empty() const { return rows_.empty(); }

 private:
  std::vector<Align> align_;
  int indent_;
  std::vector<std::vector<std::string>> rows_;
};

// Characters that `text` takes on a terminal: styles none, each code point one.
size_t Width(std::string_view text);

// Draws what a Progress reports on stderr: a bar on a terminal, otherwise nothing. It appears when work takes
// longer than a blink, and goes when the object does. Also says stop when the user pressed Ctrl-C.
class ProgressBar {
 public:
  enum Unit { kBytes, kCount };
  explicit ProgressBar(Unit unit = kBytes) : unit_(unit) {}
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  bool Update(std::string_view what, uint64_t done, uint64_t total);
  // Valid as long as this object.
  Progress callback() {
    return [this](std::string_view what, uint64_t done, uint64_t total) { return Update(what, done, total); };
  }
  void Clear();

 private:
  using Clock = std::chrono::steady_clock;
  Unit unit_;
  std::string what_;
  Clock::time_point start_{}, drawn_{};
  bool visible_ = false;
};

// Model output on its way to a terminal: control characters other than newline and tab, which could move the
// cursor or worse, are dropped. Elsewhere bytes pass as they are.
class TextOutput {
 public:
  explicit TextOutput(bool filter) : filter_(filter) {}
  void Write(std::string_view text);  // whole UTF-8 characters; flushed
  bool ends_line() const { return last_ == '\n'; }

 private:
  bool filter_;
  char last_ = '\n';
};

// One line of JSON on stdout; what is not UTF-8 becomes U+FFFD.
void PrintJson(const OrderedJson& json);

// Prints "error: ..." and, where there is one, "hint: ..." and returns the exit code.
int Report(const absl::Status& status);

}  // namespace qiao::tools
