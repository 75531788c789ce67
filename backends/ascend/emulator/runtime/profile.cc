// The chip that is emulated: profiles/NAME.json beside lib64/, or any file that QIAO_CANN_SOC names by its path.
#include <dlfcn.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/emulator.h"
#include "runtime/base/json.h"

namespace qiao::cann {
namespace {

// The folder above the one that this library was loaded from.
std::string Home() {
  Dl_info info = {};
  if (dladdr(reinterpret_cast<const void*>(&CurrentProfile), &info) == 0 || info.dli_fname == nullptr)
    return "";
  const std::string file = info.dli_fname;
  const size_t slash = file.rfind('/');
  return (slash == std::string::npos ? std::string(".") : file.substr(0, slash)) + "/..";
}

double Number(const Json& json, const char* name) {
  auto it = json.find(name);
  return it != json.end() && it->is_number() ? it->get<double>() : 0;
}

Profile Read() {
  const char* variable = std::getenv("QIAO_CANN_SOC");
  const std::string soc = variable == nullptr || *variable == 0 ? "Ascend910B4" : variable;
  const bool is_path = soc.find('/') != std::string::npos;
  const std::string path = is_path ? soc : absl::StrCat(Home(), "/profiles/", soc, ".json");
  Profile profile;
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    LogLine(absl::StrCat("QIAO_CANN_SOC=", soc, ": there is no ", path, ", so there is no device"));
    return profile;
  }
  const std::string text(std::istreambuf_iterator<char>(in), {});
  const absl::StatusOr<Json> json = ParseJson(text, path);
  if (!json.ok() || !json->is_object() || !json->contains("soc") || !(*json)["soc"].is_string()) {
    LogLine(absl::StrCat(path, ": ", json.ok() ? "no object with a \"soc\"" : json.status().message(),
                         ", so there is no device"));
    return profile;
  }
  constexpr double kMost = 1e6;  // of GiB, MiB and cores
  const auto whole = [&](const char* name) {
    const double value = Number(*json, name);
    return value >= 0 && value <= kMost ? value : 0;
  };
  profile.soc = (*json)["soc"].get<std::string>();
  profile.cube_cores = static_cast<int>(whole("cube_cores"));
  profile.vector_cores = static_cast<int>(whole("vector_cores"));
  profile.hbm_bytes = static_cast<uint64_t>(whole("hbm_gib") * (uint64_t{1} << 30));
  profile.l2_bytes = static_cast<uint64_t>(whole("l2_mib") * (uint64_t{1} << 20));
  profile.has_fp8 = json->value("has_fp8", Json(false)) == Json(true);
  profile.f16_tflops = Number(*json, "f16_tflops");
  profile.int8_tops = Number(*json, "int8_tops");
  profile.hbm_gbytes_per_second = Number(*json, "hbm_gbytes_per_second");
  return profile;
}

}  // namespace

const Profile& CurrentProfile() {
  static const auto* const profile = new Profile(Read());
  return *profile;
}

}  // namespace qiao::cann

extern "C" const char* aclrtGetSocName(void) {
  const std::string& soc = qiao::cann::CurrentProfile().soc;
  return soc.empty() ? nullptr : soc.c_str();
}
