#include "backends/ascend/emulator/runtime/check.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/emulator.h"

namespace qiao::cann {
namespace {

// Never destroyed: worker threads may report until the very end.
struct Findings {
  std::mutex mutex;
  Counts counts;
  std::map<int, uint64_t> codes;
  std::map<std::string, uint64_t, std::less<>> warnings, faults;
  std::set<std::string> logged;
  std::string (*leaks)() = nullptr;
};

Findings& Found() {
  static auto* const findings = new Findings;
  return *findings;
}

Settings ReadSettings() {
  Settings settings;
  const auto get = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  const std::string_view check = get("QIAO_CANN_CHECK");
  if (check == "fail") settings.level = CheckLevel::kFail;
  if (check == "stress") settings.level = CheckLevel::kStress;
  if (!check.empty() && check != "fail" && check != "warn" && check != "stress") {
    LogLine(absl::StrCat("QIAO_CANN_CHECK=", std::string(check),
                         " is none of fail, warn, stress: warn is taken"));
  }
  if (const char* seed = std::getenv("QIAO_CANN_SEED")) settings.seed = std::strtoull(seed, nullptr, 10);
  if (get("QIAO_CANN_REPORT") == "1") settings.report = 1;
  if (get("QIAO_CANN_REPORT") == "0") settings.report = 0;
  settings.exact = get("QIAO_CANN_EXACT") == "1";
  settings.fill = get("QIAO_CANN_FILL") != "0";
  return settings;
}

void PrintReport() {
  const Settings& settings = GetSettings();
  Findings& found = Found();
  const std::string leaks = found.leaks == nullptr ? "" : found.leaks();
  std::lock_guard lock(found.mutex);
  const bool complaints =
      found.counts.faults > 0 || (settings.level != CheckLevel::kFail && found.counts.warnings > 0);
  if (settings.report == 0 || (settings.report < 0 && !complaints)) return;
  LogLine(absl::StrCat("report: ", found.counts.failed_calls, " failed calls, ", found.counts.warnings,
                       " warnings, ", found.counts.faults, " faults"));
  for (const auto& [code, count] : found.codes) LogLine(absl::StrCat("  error ", code, ": ", count));
  for (const auto& [rule, count] : found.warnings) LogLine(absl::StrCat("  warning ", rule, ": ", count));
  for (const auto& [rule, count] : found.faults) LogLine(absl::StrCat("  fault ", rule, ": ", count));
  if (!leaks.empty()) LogLine(absl::StrCat("  still alive: ", leaks));
}

}  // namespace

const Settings& GetSettings() {
  static const auto* const settings = new Settings(ReadSettings());
  return *settings;
}

void LogLine(std::string_view text) {
  const std::string line = absl::StrCat("(emulated) ", std::string(text), "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void CountFail(int code) {
  Findings& found = Found();
  std::lock_guard lock(found.mutex);
  ++found.counts.failed_calls;
  ++found.codes[code];
}

void Warn(std::string_view rule, std::string message) {
  const bool silent = GetSettings().level == CheckLevel::kFail;
  Findings& found = Found();
  std::lock_guard lock(found.mutex);
  ++found.counts.warnings;
  auto it = found.warnings.emplace(rule, 0).first;
  if (++it->second == 1 && !silent) LogLine(absl::StrCat("warning ", std::string(rule), ": ", message));
}

void Fault(std::string_view rule, std::string message) {
  Findings& found = Found();
  std::lock_guard lock(found.mutex);
  ++found.counts.faults;
  ++found.faults.emplace(rule, 0).first->second;
  constexpr size_t kMostLogged = 200;
  std::string text = absl::StrCat("fault ", std::string(rule), ": ", message);
  if (found.logged.size() < kMostLogged && found.logged.insert(text).second) LogLine(text);
}

Counts CountsSoFar() {
  Findings& found = Found();
  std::lock_guard lock(found.mutex);
  return found.counts;
}

void ReportAtExit(std::string (*leaks)()) {
  Findings& found = Found();
  {
    std::lock_guard lock(found.mutex);
    if (found.leaks != nullptr) return;
    found.leaks = leaks;
  }
  std::atexit(PrintReport);
}

bool ExactMode() { return GetSettings().exact; }

bool StressWorkspace() { return GetSettings().stress(); }

}  // namespace qiao::cann
