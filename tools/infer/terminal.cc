#include "tools/infer/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "tools/infer/exit.h"
#include "tools/infer/interrupt.h"

namespace qiao::tools {
namespace {

bool Colours(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* term = std::getenv("TERM");
  if (term != nullptr && std::string_view(term) == "dumb") return false;
  return ::isatty(fd) != 0;
}

std::string Paint(bool colours, Style style, std::string_view text) {
  if (!colours || text.empty()) return std::string(text);
  const char* code = "";
  switch (style) {
    case Style::kBold:
      code = "1";
      break;
    case Style::kDim:
      code = "2";
      break;
    case Style::kRed:
      code = "1;31";
      break;
    case Style::kGreen:
      code = "32";
      break;
    case Style::kYellow:
      code = "33";
      break;
    case Style::kCyan:
      code = "36";
      break;
  }
  return absl::StrFormat("\x1b[%sm%s\x1b[0m", code, text);
}

bool IsControl(unsigned char c) { return c < 0x20 || c == 0x7f; }

// U+0080..U+009F, which terminals may take for control sequences too.
bool IsC1(std::string_view text, size_t i) {
  return static_cast<unsigned char>(text[i]) == 0xc2 && i + 1 < text.size() &&
         (static_cast<unsigned char>(text[i + 1]) & 0xe0) == 0x80;
}

size_t ScreenColumns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string Scaled(double value, absl::Span<const char* const> units, double step) {
  size_t unit = 0;
  while (value >= step * 0.9995 && unit + 1 < units.size()) {
    value /= step;
    ++unit;
  }
  return absl::StrFormat("%.*f %s", unit == 0 ? 0 : 1, value, units[unit]);
}

}  // namespace

bool StdinIsTerminal() { return ::isatty(STDIN_FILENO) != 0; }
bool StdoutIsTerminal() { return ::isatty(STDOUT_FILENO) != 0; }
bool StderrIsTerminal() { return ::isatty(STDERR_FILENO) != 0; }

std::string Out(Style style, std::string_view text) {
  static const bool colours = Colours(STDOUT_FILENO);
  return Paint(colours, style, text);
}

std::string Err(Style style, std::string_view text) {
  static const bool colours = Colours(STDERR_FILENO);
  return Paint(colours, style, text);
}

std::string Printable(std::string_view text) {
  std::string safe;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (IsControl(c)) {
      absl::StrAppendFormat(&safe, "\\x%02x", c);
    } else if (IsC1(text, i)) {
      absl::StrAppendFormat(&safe, "\\x%02x\\x%02x", c, static_cast<unsigned char>(text[i + 1]));
      ++i;
    } else {
      safe += text[i];
    }
  }
  return safe;
}

std::string Grouped(uint64_t n) {
  const std::string digits = std::to_string(n);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string Bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  return Scaled(static_cast<double>(bytes), kUnits, 1000);
}

std::string Rounded(uint64_t n) {
  static constexpr const char* kUnits[] = {"", "k", "M", "B", "T"};
  return Scaled(static_cast<double>(n), kUnits, 1000);
}

std::string Rate(double per_second) {
  if (!std::isfinite(per_second) || per_second < 0) return "-";
  return per_second < 100 ? absl::StrFormat("%.1f", per_second)
                          : Grouped(static_cast<uint64_t>(per_second + 0.5));
}

size_t Width(std::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      while (i < text.size() && text[i] != 'm') ++i;
    } else if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) {
      ++width;
    }
  }
  return width;
}

std::string Table::Text() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], Width(row[c]));
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line(static_cast<size_t>(indent_), ' ');
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - Width(row[c]), ' ');
      const bool right = c < align_.size() && align_[c] == kRight;
      if (c > 0) line.append(2, ' ');
      if (right) line += padding;
      line += row[c];
      if (!right) line += padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line;
    text += '\n';
  }
  return text;
}

bool ProgressBar::Update(std::string_view what, uint64_t done, uint64_t total) {
  if (Interrupted()) return false;
  if (!StderrIsTerminal()) return true;
  const Clock::time_point now = Clock::now();
  if (what != what_) {
    what_ = what;
    start_ = now;
  }
  using std::chrono::milliseconds;
  if (now - start_ < milliseconds(300) || (visible_ && now - drawn_ < milliseconds(60) && done < total))
    return true;
  drawn_ = now;
  const double share = total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const double seconds = std::chrono::duration<double>(now - start_).count();
  constexpr int kWidth = 20;
  const int full = static_cast<int>(share * kWidth);
  std::string bar;
  for (int i = 0; i < kWidth; ++i) bar += i < full ? "━" : " ";
  std::string line = absl::StrFormat("%s %s %3.0f%%  ", what, Err(Style::kCyan, bar), share * 100);
  // Opening a checkpoint counts files, whatever the work after it counts.
  if (unit_ == kBytes && what.find("files") == std::string_view::npos) {
    absl::StrAppendFormat(&line, "%s of %s", Bytes(done), Bytes(total));
    absl::StrAppendFormat(&line, ", %s/s", Bytes(static_cast<uint64_t>(static_cast<double>(done) / seconds)));
  } else {
    absl::StrAppendFormat(&line, "%s of %s", Grouped(done), Grouped(total));
  }
  if (share > 0.02 && share < 1 && seconds > 2) {
    absl::StrAppendFormat(&line, ", %.0f s left", seconds / share * (1 - share));
  }
  // A line that wraps could not be taken back.
  if (Width(line) >= ScreenColumns()) line = absl::StrFormat("%s %3.0f%%", what, share * 100);
  if (Width(line) >= ScreenColumns()) return true;
  std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  std::fflush(stderr);
  visible_ = true;
  return true;
}

void ProgressBar::Clear() {
  if (!visible_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  visible_ = false;
}

void TextOutput::Write(std::string_view text) {
  if (text.empty()) return;
  std::string safe;
  if (filter_) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (IsC1(text, i)) {
        ++i;
      } else if (!IsControl(static_cast<unsigned char>(text[i])) || text[i] == '\n' || text[i] == '\t') {
        safe += text[i];
      }
    }
    text = safe;
  }
  if (text.empty()) return;
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  last_ = text.back();
}

void PrintJson(const OrderedJson& json) {
  const std::string line = DumpJson(json) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

int Report(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  // Lines of a message are kept; what else could disturb a terminal is not.
  std::string message;
  for (std::string_view rest = Message(status);;) {
    const size_t end = rest.find('\n');
    message += Printable(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    message += "\n  ";
    rest.remove_prefix(end + 1);
  }
  std::fflush(stdout);
  if (absl::IsCancelled(status)) message = "interrupted";
  std::fprintf(stderr, "%s %s\n", Err(Style::kRed, "error:").c_str(), message.c_str());
  if (const std::string hint = HintOf(status); !hint.empty()) {
    std::fprintf(stderr, "%s %s\n", Err(Style::kCyan, "hint:").c_str(), hint.c_str());
  }
  return ExitOf(status);
}

}  // namespace qiao::tools
