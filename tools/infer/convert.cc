// infer convert: a model in one file, its weights in another number format where that is asked for.
#include <sys/stat.h>

#include <cstdio>

#include "tools/infer/args.h"
#include "tools/infer/convert_plan.h"
#include "tools/infer/convert_write.h"
#include "tools/infer/exit.h"
#include "tools/infer/interrupt.h"
#include "tools/infer/model.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

absl::Status CheckOut(const ConvertArgs& args) {
  struct stat out, in;
  if (::stat(args.out.c_str(), &out) != 0) return absl::OkStatus();
  if (S_ISDIR(out.st_mode))
    return UsageError(absl::StrFormat("%s is a folder; give the name of the .qiao file to write", args.out));
  if (!S_ISREG(out.st_mode)) return UsageError(absl::StrFormat("%s is not a regular file", args.out));
  if (::stat(args.model.c_str(), &in) == 0 && in.st_ino == out.st_ino && in.st_dev == out.st_dev)
    return UsageError("IN and OUT are the same file");
  if (!args.force) return UsageError(absl::StrFormat("%s is there already", args.out), "--force replaces it");
  return absl::OkStatus();
}

}  // namespace

absl::Status Convert(const ConvertArgs& args) {
  CatchInterrupts();
  QIAO_RETURN_IF_ERROR(CheckOut(args));
  ProgressBar bar;
  engine::OpenOptions open;
  // What is damaged must not get new checksums.
  open.verify = formats::Verify::kAll;
  open.progress = bar.callback();
  QIAO_ASSIGN_OR_RETURN(const auto model, OpenModel(args.model, open));
  auto plan = PlanConvert(*model, {.dtype = args.dtype, .head = args.head, .pack = args.pack});
  if (!plan.ok()) {
    const Exit exit = absl::IsUnimplemented(plan.status()) ? kExitUnsupported : kExitModel;
    return WithExit(plan.status(), exit);
  }
  const size_t tensors = plan->jobs.size();
  auto result = WriteConverted(*model, *std::move(plan), args.out, bar.callback());
  bar.Clear();
  if (absl::IsInvalidArgument(result.status())) return WithExit(result.status(), kExitModel);
  QIAO_RETURN_IF_ERROR(result.status());
  std::fprintf(
      stderr, "%s: %s tensors, %s%s\n", Printable(args.out).c_str(), Grouped(tensors).c_str(),
      Bytes(result->bytes).c_str(),
      result->continued > 0
          ? absl::StrFormat("; %s of them were there from a run before", Bytes(result->continued)).c_str()
          : "");
  return absl::OkStatus();
}

}  // namespace qiao::tools
