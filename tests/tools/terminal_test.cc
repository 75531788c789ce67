// What tools print.
#include "tools/infer/terminal.h"

#include <gtest/gtest.h>

#include "tools/infer/exit.h"
#include "tools/infer/placement.h"

namespace qiao::tools {
namespace {

TEST(Terminal, Numbers) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(9179648), "9,179,648");
  EXPECT_EQ(Bytes(0), "0 B");
  EXPECT_EQ(Bytes(999), "999 B");
  EXPECT_EQ(Bytes(13'600'000), "13.6 MB");
  EXPECT_EQ(Bytes(999'999), "1.0 MB");
  EXPECT_EQ(Rounded(671'026'419'200), "671.0 B");
  EXPECT_EQ(Rate(12.34), "12.3");
  EXPECT_EQ(Rate(2851.4), "2,851");
}

TEST(Terminal, ControlCharactersOfFilesAreShown) {
  EXPECT_EQ(Printable("a\x1b[31m\nb"), "a\\x1b[31m\\x0ab");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "1m"),
            "\\xc2\\x9b1m");
  EXPECT_EQ(Printable("\xc3\xa9"), "\xc3\xa9");
}

TEST(Terminal, TablesAlign) {
  Table table({Table::kLeft, Table::kRight}, 1);
  table.Row({"\xc3\xa9", "10"});
  table.Row({"long", "\x1b[1m5\x1b[0m"});
  table.Row({"x"});
  EXPECT_EQ(table.Text(), " \xc3\xa9     10\n long   \x1b[1m5\x1b[0m\n x\n");
}

TEST(Exit, TheFirstCodeStays) {
  EXPECT_EQ(ExitOf(absl::OkStatus()), kExitOk);
  EXPECT_EQ(ExitOf(absl::InternalError("x")), kExitFailure);
  EXPECT_EQ(ExitOf(absl::CancelledError()), kExitInterrupted);
  EXPECT_EQ(ExitOf(WithExit(absl::CancelledError(), kExitModel)), kExitInterrupted);
  const absl::Status status = WithExit(WithExit(absl::NotFoundError("x"), kExitModel), kExitMemory);
  EXPECT_EQ(ExitOf(status), kExitModel);
  EXPECT_EQ(HintOf(WithHint(status, "try y")), "try y");
  EXPECT_EQ(HintOf(status), "");
}

TEST(Placement, EqualLayersAreOneLine) {
  auto row = [](std::string name, std::string device) {
    program::PlacementRow r;
    r.name = std::move(name);
    r.op = "linear";
    r.device = std::move(device);
    r.shapes = "bf16[1]";
    return r;
  };
  const std::string text =
      PlacementTable({row("embed", "cpu"), row("layers.0.o", "cpu"), row("layers.1.o", "gpu"),
                      row("layers.2.o", "cpu"), row("layers.3.o", "cpu"), row("layers.x", "cpu")});
  EXPECT_NE(text.find("layers.0,2-3.o"), std::string::npos) << text;
  EXPECT_NE(text.find("layers.1.o"), std::string::npos);
  EXPECT_NE(text.find("layers.x"), std::string::npos);
}

}  // namespace
}  // namespace qiao::tools
