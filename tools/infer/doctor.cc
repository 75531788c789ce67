// infer doctor: what this machine has, what is missing and how to get it.
#include <absl/base/config.h>
#include <absl/base/options.h>
#include <qiao/backend.h>
#include <qiao/engine.h>
#include <spdlog/version.h>
#include <unicode/uvernum.h>

#include <CLI/Version.hpp>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_join.h"
#include "runtime/base/json.h"
#include "tools/infer/args.h"
#include "tools/infer/devices.h"
#include "tools/infer/exit.h"
#include "tools/infer/machine.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

std::string Compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

std::vector<std::pair<std::string, std::string>> Versions() {
  return {{"qiao", Version()},
          {"plugin boundary", absl::StrFormat("%d.%d", QIAO_ABI_MAJOR, QIAO_ABI_MINOR)},
          {"compiler", Compiler()},
          {"abseil", absl::StrFormat("%d.%d", ABSL_LTS_RELEASE_VERSION, ABSL_LTS_RELEASE_PATCH_LEVEL)},
          {"nlohmann-json", absl::StrFormat("%d.%d.%d", NLOHMANN_JSON_VERSION_MAJOR,
                                            NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
          {"spdlog", absl::StrFormat("%d.%d.%d", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)},
          {"CLI11", CLI11_VERSION},
          {"ICU", U_ICU_VERSION}};
}

struct Finding {
  enum Level { kMissing, kAdvice };
  Level level;
  std::string what, remedy;
};

std::vector<Finding> Diagnose(const MachineFacts& machine, const std::vector<BackendFacts>& backends) {
  std::vector<Finding> findings;
  bool usable = false, cpu = false;
  for (const BackendFacts& backend : backends) {
    usable = usable || backend.usable();
    cpu = cpu || (backend.name == "cpu" && backend.usable());
    if (!backend.error.empty()) {
      findings.push_back({Finding::kAdvice,
                          absl::StrFormat("plugin %s does not load: %s", backend.name, backend.error),
                          absl::StrFormat("rebuild it with this Qiao, or remove %s", backend.path)});
    }
  }
  if (!usable) {
    findings.push_back(
        {Finding::kMissing, "no plugin with a device was found",
         "build Qiao (tools/start), or set QIAO_BACKEND_PATH to the folder of libqiao_backend_*.so"});
  } else if (!cpu) {
    findings.push_back({Finding::kAdvice, "there is no cpu plugin: nothing can fall back to the host",
                        "build the target qiao_backend_cpu, or add its folder to QIAO_BACKEND_PATH"});
  }
  if (machine.huge_pages == "never") {
    findings.push_back({Finding::kAdvice,
                        "transparent huge pages are off: large weights are read more slowly",
                        "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"});
  }
  // For building; a program that was installed does without.
  static constexpr std::pair<const char*, const char*> kTools[] = {{"g++", "g++"},
                                                                   {"cmake", "cmake"},
                                                                   {"ninja", "ninja-build"},
                                                                   {"pkg-config", "pkg-config"},
                                                                   {"ccache", "ccache"}};
  std::string missing;
  for (const auto& [program, package] : kTools) {
    if (!OnPath(program)) absl::StrAppendFormat(&missing, " %s", package);
  }
  if (!missing.empty()) {
    findings.push_back(
        {Finding::kAdvice, "to build Qiao this machine lacks" + missing, "sudo apt-get install" + missing});
  }
  return findings;
}

OrderedJson ToJson(const MachineFacts& m, const std::vector<BackendFacts>& backends,
                   const std::vector<Finding>& findings) {
  OrderedJson json;
  for (const auto& [name, version] : Versions()) json["versions"][name] = version;
  json["machine"] = {{"system", m.system},
                     {"kernel", m.kernel},
                     {"cpu", m.cpu},
                     {"cpus", m.cpus},
                     {"usable_cpus", m.usable_cpus},
                     {"instruction_sets", m.instruction_sets},
                     {"huge_pages", m.huge_pages},
                     {"memory_bytes", m.memory},
                     {"available_bytes", m.available},
                     {"memory_limit_bytes", m.memory_limit}};
  json["search_path"] = hal::BackendSearchPath();
  json["backends"] = OrderedJson::array();
  for (const BackendFacts& backend : backends) {
    OrderedJson devices = OrderedJson::array();
    for (const DeviceFacts& device : backend.devices) {
      devices.push_back(
          {{"name", device.name}, {"error", device.error}, {"description", device.description}});
    }
    json["backends"].push_back({{"name", backend.name},
                                {"path", backend.path},
                                {"version", backend.version},
                                {"error", backend.error},
                                {"devices", devices},
                                {"no_device", backend.no_device}});
  }
  json["findings"] = OrderedJson::array();
  for (const Finding& finding : findings) {
    json["findings"].push_back({{"missing", finding.level == Finding::kMissing},
                                {"what", finding.what},
                                {"remedy", finding.remedy}});
  }
  return json;
}

void Heading(std::string_view text) { std::printf("%s\n", Out(Style::kBold, text).c_str()); }

void PrintMachine(const MachineFacts& m) {
  Heading("Machine");
  Table table({Table::kLeft, Table::kLeft});
  table.Row({"system", Printable(m.system.empty() ? m.kernel : m.system + ", " + m.kernel)});
  table.Row({"CPU", absl::StrFormat("%s; %d CPUs, %d for this process",
                                    m.cpu.empty() ? "unknown" : Printable(m.cpu), m.cpus, m.usable_cpus)});
  table.Row({"instructions", absl::StrJoin(m.instruction_sets, " ")});
  std::string memory = absl::StrFormat("%s, %s available", Bytes(m.memory), Bytes(m.available));
  if (m.memory_limit > 0) absl::StrAppendFormat(&memory, "; this process may use %s", Bytes(m.memory_limit));
  table.Row({"memory", memory});
  table.Row({"huge pages", m.huge_pages.empty() ? "unknown" : m.huge_pages});
  std::fputs(table.Text().c_str(), stdout);
}

void PrintBackends(const std::vector<BackendFacts>& backends) {
  Heading("\nPlugins");
  Table table({Table::kLeft, Table::kLeft});
  for (const BackendFacts& backend : backends) {
    if (!backend.error.empty()) {
      table.Row({backend.name, Out(Style::kRed, Printable(backend.error))});
    } else if (backend.devices.empty()) {
      table.Row({backend.name, "no device: " + Printable(backend.no_device)});
    }
    for (const DeviceFacts& device : backend.devices) {
      table.Row({device.name, device.error.empty() ? Printable(device.properties.name)
                                                   : Out(Style::kRed, Printable(device.error))});
      for (const std::string& line : device.description) table.Row({"", Out(Style::kDim, Printable(line))});
    }
  }
  std::fputs(table.Text().c_str(), stdout);
  std::printf("  looked for in %s\n", Printable(absl::StrJoin(hal::BackendSearchPath(), ", ")).c_str());
}

}  // namespace

absl::Status Doctor(const DoctorArgs& args) {
  const MachineFacts machine = SurveyMachine();
  const std::vector<BackendFacts> backends = SurveyBackends();
  const std::vector<Finding> findings = Diagnose(machine, backends);
  if (args.json) {
    PrintJson(ToJson(machine, backends, findings));
  } else {
    Heading("Versions");
    Table versions({Table::kLeft, Table::kLeft});
    for (const auto& [name, version] : Versions()) versions.Row({name, version});
    std::printf("%s\n", versions.Text().c_str());
    PrintMachine(machine);
    PrintBackends(backends);
    std::printf("\n");
    for (const Finding& finding : findings) {
      const bool missing = finding.level == Finding::kMissing;
      std::printf("%s %s\n  %s\n",
                  (missing ? Out(Style::kRed, "missing:") : Out(Style::kYellow, "note:")).c_str(),
                  Printable(finding.what).c_str(), Printable(finding.remedy).c_str());
    }
    if (findings.empty()) std::printf("%s\n", Out(Style::kGreen, "Nothing is missing.").c_str());
  }
  std::fflush(stdout);
  for (const Finding& finding : findings) {
    if (finding.level == Finding::kMissing) return WithExit(NotFound("%s", finding.what), kExitUnsupported);
  }
  return absl::OkStatus();
}

}  // namespace qiao::tools
