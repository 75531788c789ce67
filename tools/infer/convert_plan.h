// Which tensors a converted model has and what each is made of.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/engine/model_folder.h"
#include "runtime/formats/qiao_writer.h"
#include "tools/infer/convert_numbers.h"

namespace qiao::tools {

// As the command line spells them; an empty string: leave what is.
struct ConvertFormat {
  std::string dtype;             // "fp8", "bf16", "int8"
  std::string head;              // "fp8", "bf16"
  std::string pack = "neutral";  // "cpu", "neutral"
};

// One tensor of the result.
struct ConvertJob {
  enum Kind {
    kCopy,     // the bytes as they are
    kCast,     // to f32, f16 or bf16, scales multiplied in
    kF8,       // E4M3 in blocks of 128x128
    kF8Scale,  // its scales; follows it
    kI8,       // INT8, a scale for each row
    kI8Scale   // its scales; follows it
  };
  Kind kind = kCopy;
  DType dtype = DType::kInvalid;  // of the result, unless it is a copy
  const formats::TensorView* tensor = nullptr;
  SourceMatrix source;  // unless it is a copy
};

struct ConvertPlan {
  formats::QiaoPlan file;
  std::vector<ConvertJob> jobs;  // of file.tensors
  std::string source;            // the files that it is made from, and the format
};

// `model` must outlive the plan. Of what an FP8 release stores in FP8 (TensorSpec::quantised), and of the
// head where the format says so, the weights get the new format; all other tensors of the model the dtype of
// releases (TensorSpec::plain: embedding, norms and router bf16); tensors that the model does not know stay
// as they are. Weights that have the format already are copied. config.json gets the quantization_config that
// says so, in the way of DeepSeek's releases for fp8 and of compressed-tensors for int8; all else in it, and
// the other texts, stay verbatim. INVALID_ARGUMENT: formats that do not go together, a tensor of another
// shape than the config says. NOT_FOUND: a tensor is missing. UNIMPLEMENTED: a packing or a format that no
// model of this Qiao reads yet.
absl::StatusOr<ConvertPlan> PlanConvert(const engine::ModelFolder& model, const ConvertFormat& format);

}  // namespace qiao::tools
