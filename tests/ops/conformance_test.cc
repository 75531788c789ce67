// Every operation of the catalogue on every backend that is here: reference, cpu, null, ascend (emulated), and those that
// QIAO_CONFORM names (comma-separated). With QIAO_CONFORM_TABLE=1 the support table of each backend is
// printed at the end.
#include "tests/ops/conformance.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <sstream>

#include "runtime/ops/graph.h"
#include "tests/backends/ascend/environment.h"

namespace qiao {
namespace {

std::vector<std::string> Backends() {
  std::vector<std::string> names = {"reference", "cpu", "null", "partial", "ascend"};
  if (const char* more = std::getenv("QIAO_CONFORM")) {
    std::stringstream list(more);
    for (std::string name; std::getline(list, name, ',');) {
      if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

std::vector<std::string> Operations() {
  std::vector<std::string> names;
  for (const ops::OpSpec* spec : ops::Catalogue()) names.emplace_back(spec->name);
  return names;
}

// What ran in this process, for the table.
class Table : public testing::Environment {
 public:
  static std::map<std::string, std::vector<conformance::Outcome>>& outcomes() {
    static auto* outcomes = new std::map<std::string, std::vector<conformance::Outcome>>;
    return *outcomes;
  }
  void TearDown() override {
    if (!std::getenv("QIAO_CONFORM_TABLE")) return;
    for (const auto& [device, list] : outcomes())
      printf("\n%s", conformance::SupportTable(device, list).c_str());
  }
};

[[maybe_unused]] const auto* const kTable = testing::AddGlobalTestEnvironment(new Table);

using Parameter = std::tuple<std::string, std::string>;

class Conformance : public testing::TestWithParam<Parameter> {};

TEST_P(Conformance, AgreesWithTheDefinition) {
  const auto& [backend, op] = GetParam();
  auto device = hal::Device::Open(backend, {}, &ops::DescribeCall);
  ASSERT_TRUE(device.ok()) << device.status();
  const ops::OpSpec* spec = ops::Find(std::string_view(op));
  ASSERT_NE(spec, nullptr);

  const std::vector<conformance::Outcome> outcomes = conformance::Run(*device, *spec);
  EXPECT_FALSE(outcomes.empty());
  int unsupported = 0, failures = 0;
  std::string reason;
  for (const conformance::Outcome& o : outcomes) {
    if (o.kind == conformance::Outcome::kUnsupported) {
      ++unsupported;
      reason = o.why;
      EXPECT_FALSE(o.why.empty()) << o.case_name << ": unsupported without a reason";
    }
    if (o.kind == conformance::Outcome::kFailed && ++failures <= 5) {
      ADD_FAILURE() << o.op << " " << o.case_name << " [" << o.kernel << "]: " << o.why;
    }
  }
  if (failures > 5) ADD_FAILURE() << failures << " of " << outcomes.size() << " failed";
  if (unsupported > 0) printf("%d of %zu unsupported: %s\n", unsupported, outcomes.size(), reason.c_str());
  auto& all = Table::outcomes()[backend];
  all.insert(all.end(), outcomes.begin(), outcomes.end());
}

INSTANTIATE_TEST_SUITE_P(All, Conformance,
                         testing::Combine(testing::ValuesIn(Backends()), testing::ValuesIn(Operations())),
                         [](const testing::TestParamInfo<Parameter>& info) {
                           std::string name = std::get<0>(info.param) + "_" + std::get<1>(info.param);
                           for (char& c : name) {
                             if (!isalnum(static_cast<unsigned char>(c))) c = '_';
                           }
                           return name;
                         });

// The scalar kernels are the definition, so as a device they must give its very bits, for all fine
// operations.
TEST(ConformanceReference, SupportsEveryFineOperation) {
  auto device = hal::Device::Open("reference", {}, &ops::DescribeCall);
  ASSERT_TRUE(device.ok()) << device.status();
  for (const ops::OpSpec* spec : ops::Catalogue()) {
    if (spec->id >= QIAO_OP_COARSE) continue;
    for (const conformance::Outcome& o : conformance::Run(*device, *spec)) {
      EXPECT_EQ(o.kind, conformance::Outcome::kPassed) << o.op << " " << o.case_name << ": " << o.why;
      EXPECT_EQ(o.of_tolerance, 0) << o.op << " " << o.case_name;
    }
  }
}

}  // namespace
}  // namespace qiao
