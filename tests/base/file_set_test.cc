#include "runtime/base/file_set.h"

#include <gtest/gtest.h>

#include "tests/base/temp_folder.h"

namespace qiao {
namespace {

TEST(FolderFiles, ReadsWhatIsThereWithinTheLimit) {
  const TempFolder folder;
  folder.Write("a.json", "text");
  const FolderFiles files(folder.path());
  EXPECT_EQ(**files.Read("a.json", 4), "text");
  EXPECT_FALSE(files.Read("b.json", 4)->has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(files.Read("a.json", 3).status()));
  EXPECT_EQ(files.Where("a.json"), folder / "a.json");
  EXPECT_FALSE(FolderFiles(folder / "none").Read("a.json", 4)->has_value());
}

}  // namespace
}  // namespace qiao
