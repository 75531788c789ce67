#include "tests/backends/ascend/golden_case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include "runtime/base/floats.h"
#include "runtime/base/mmap.h"
#include "runtime/base/split_mix.h"
#include "runtime/formats/safetensors.h"

namespace qiao::ascend_test {
namespace {

constexpr const char* kFamilies[] = {"attention", "routing", "quantised", "dense", "elementwise", "client"};
constexpr std::byte kFiller{0x7f};

std::string Path(std::string_view family, std::string_view ending) {
  return QIAO_TEST_DATA "/golden/aclnn/" + std::string(family) + std::string(ending);
}

template <typename T>
double Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return static_cast<double>(value);
}

template <typename T>
void Store(T value, std::byte* at) {
  std::memcpy(at, &value, sizeof(value));
}

absl::StatusOr<Element> ElementNamed(const std::string& name) {
  static const std::map<std::string, Element> names = {
      {"f32", Element::kF32}, {"f16", Element::kF16},   {"bf16", Element::kBf16},
      {"i8", Element::kI8},   {"u8", Element::kU8},     {"i32", Element::kI32},
      {"i64", Element::kI64}, {"bool", Element::kBool}, {"f8_e4m3", Element::kF8E4M3}};
  const auto at = names.find(name);
  if (at == names.end()) return absl::InvalidArgumentError("no dtype " + name);
  return at->second;
}

int64_t Product(const std::vector<int64_t>& dims) {
  int64_t product = 1;
  for (int64_t d : dims) product *= d;
  return product;
}

std::vector<int64_t> Contiguous(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t run = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = run;
    run *= shape[i];
  }
  return strides;
}

// golden.py's `hashed`, written where the view's elements lie, and the ranges that are NaN.
void Fill(const Json& fill, GoldenTensor& tensor) {
  const int width = ElementBytes(tensor.element);
  const int64_t count = Product(tensor.shape);
  const auto at = [&](int64_t i) {
    return tensor.data.data() + PlaceOf(i, tensor.shape, tensor.strides, tensor.offset) * width;
  };
  if (fill.at("kind") == "triu") {
    const int64_t side = tensor.shape.back();
    for (int64_t i = 0; i < count; ++i) WriteElement(tensor.element, i % side > i / side ? 1 : 0, at(i));
    return;
  }
  uint64_t state = fill.at("seed").get<uint64_t>();
  const double scale = fill.at("scale").get<double>();
  const int half = tensor.element == Element::kI8 ? 127 : 128;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t k =
        static_cast<int64_t>((NextSplitMix64(state) >> 40) % static_cast<uint64_t>(2 * half + 1)) - half;
    WriteElement(tensor.element, static_cast<double>(k) * scale, at(i));
  }
  for (const Json& range : fill.at("nan")) {
    for (int64_t i = range.at(0); i < range.at(1).get<int64_t>(); ++i) {
      WriteElement(tensor.element, std::nan(""), at(i));
    }
  }
}

absl::StatusOr<std::vector<std::byte>> Bytes(const formats::SafetensorsFile& file, const std::string& key) {
  const formats::TensorView* view = file.Find(key);
  if (view == nullptr) return absl::NotFoundError("no tensor " + key);
  return std::vector<std::byte>(view->data.begin(), view->data.end());
}

absl::StatusOr<GoldenTensor> ReadTensor(const Json& json, const formats::SafetensorsFile& file) {
  GoldenTensor tensor;
  tensor.name = json.at("name");
  const std::string role = json.at("role");
  if (role == "null") return tensor;
  tensor.role = role == "in"    ? GoldenTensor::Role::kInput
                : role == "out" ? GoldenTensor::Role::kOutput
                                : GoldenTensor::Role::kInPlace;
  absl::StatusOr<Element> element = ElementNamed(json.at("dtype"));
  if (!element.ok()) return element.status();
  tensor.element = *element;
  tensor.shape = json.at("shape").get<std::vector<int64_t>>();
  tensor.strides = json.value("strides", Contiguous(tensor.shape));
  tensor.offset = json.value("offset", int64_t{0});
  tensor.view_shape = json.value("view_shape", tensor.shape);
  tensor.view_strides = json.contains("view_shape") ? Contiguous(tensor.view_shape) : tensor.strides;
  tensor.format = json.value("format", 2);
  const int64_t size = json.value("size", Product(tensor.shape));
  tensor.storage = json.value("storage", std::vector<int64_t>{size});
  tensor.absolute = json.value("absolute", 0.0);
  tensor.ulps = json.value("ulps", 0.0);
  if (json.contains("share")) tensor.share = json.at("share").get<double>();
  tensor.count = json.value("count", int64_t{0});
  for (const auto& [key, to] : {std::pair{"data", &tensor.data}, std::pair{"want", &tensor.want}}) {
    if (!json.contains(key)) continue;
    absl::StatusOr<std::vector<std::byte>> bytes = Bytes(file, json.at(key));
    if (!bytes.ok()) return bytes.status();
    *to = *std::move(bytes);
  }
  if (json.contains("fill")) {
    tensor.data.assign(static_cast<size_t>(size * ElementBytes(tensor.element)), kFiller);
    Fill(json.at("fill"), tensor);
  }
  return tensor;
}

absl::StatusOr<Json> ReadFamily(const char* family) {
  absl::StatusOr<MappedFile> file = MappedFile::Open(Path(family, ".json"));
  if (!file.ok()) return file.status();
  const auto bytes = file->bytes();
  return ParseJson(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()), family);
}

std::string Operator(const Json& json) {
  std::string name = json.at("op");
  const std::string profile = json.at("attributes").value("profile", std::string());
  return profile.empty() ? name : name + "@" + profile;
}

}  // namespace

int ElementBytes(Element element) {
  switch (element) {
    case Element::kF32:
    case Element::kI32:
      return 4;
    case Element::kF16:
    case Element::kBf16:
      return 2;
    case Element::kI64:
      return 8;
    default:
      return 1;
  }
}

double ReadElement(Element element, const std::byte* at) {
  switch (element) {
    case Element::kF32:
      return Load<float>(at);
    case Element::kF16:
      return F16ToFloat(static_cast<uint16_t>(Load<uint16_t>(at)));
    case Element::kBf16:
      return Bf16ToFloat(static_cast<uint16_t>(Load<uint16_t>(at)));
    case Element::kI8:
      return Load<int8_t>(at);
    case Element::kI32:
      return Load<int32_t>(at);
    case Element::kI64:
      return Load<int64_t>(at);
    case Element::kF8E4M3:
      return F8E4M3ToFloat(static_cast<uint8_t>(Load<uint8_t>(at)));
    default:
      return Load<uint8_t>(at);
  }
}

void WriteElement(Element element, double value, std::byte* at) {
  const float f = static_cast<float>(value);
  switch (element) {
    case Element::kF32:
      return Store(f, at);
    case Element::kF16:
      return Store(FloatToF16(f), at);
    case Element::kBf16:
      return Store(FloatToBf16(f), at);
    case Element::kI8:
      return Store(static_cast<int8_t>(value), at);
    case Element::kI32:
      return Store(static_cast<int32_t>(value), at);
    case Element::kI64:
      return Store(static_cast<int64_t>(value), at);
    case Element::kF8E4M3:
      return Store(FloatToF8E4M3(f), at);
    default:
      return Store(static_cast<uint8_t>(value), at);
  }
}

double UnitInTheLastPlace(Element element, double value) {
  int bits = 0, least = 0;
  switch (element) {
    case Element::kF32:
      bits = 23, least = -126;
      break;
    case Element::kF16:
      bits = 10, least = -14;
      break;
    case Element::kBf16:
      bits = 7, least = -126;
      break;
    case Element::kF8E4M3:
      bits = 3, least = -6;
      break;
    default:
      return 1;
  }
  const int exponent = value == 0 || !std::isfinite(value) ? least : std::max(std::ilogb(value), least);
  return std::ldexp(1.0, exponent - bits);
}

int64_t PlaceOf(int64_t index, const std::vector<int64_t>& shape, const std::vector<int64_t>& strides,
                int64_t offset) {
  for (size_t i = shape.size(); i-- > 0;) {
    offset += index % shape[i] * strides[i];
    index /= shape[i];
  }
  return offset;
}

const GoldenTensor* GoldenCase::Find(std::string_view tensor) const {
  for (const GoldenTensor& t : tensors) {
    if (t.name == tensor) return &t;
  }
  return nullptr;
}

absl::StatusOr<std::vector<GoldenCase>> ReadGoldenCases(std::string_view op) {
  std::vector<GoldenCase> cases;
  for (const char* family : kFamilies) {
    absl::StatusOr<Json> json = ReadFamily(family);
    if (!json.ok()) return json.status();
    std::optional<formats::SafetensorsFile> file;
    for (const Json& entry : json->at("cases")) {
      if (Operator(entry) != op) continue;
      if (!file) {
        absl::StatusOr<formats::SafetensorsFile> opened =
            formats::SafetensorsFile::Open(Path(family, ".safetensors"));
        if (!opened.ok()) return opened.status();
        file = *std::move(opened);
      }
      GoldenCase made;
      made.name = entry.at("name");
      made.op = entry.at("op");
      made.attributes = entry.at("attributes");
      made.profile = made.attributes.value("profile", std::string());
      for (const Json& tensor : entry.at("tensors")) {
        absl::StatusOr<GoldenTensor> read = ReadTensor(tensor, *file);
        if (!read.ok()) return read.status();
        made.tensors.push_back(*std::move(read));
      }
      cases.push_back(std::move(made));
    }
  }
  if (cases.empty()) return absl::NotFoundError("no cases of " + std::string(op));
  return cases;
}

absl::StatusOr<std::vector<std::string>> GoldenOperators() {
  std::set<std::string> names;
  for (const char* family : kFamilies) {
    absl::StatusOr<Json> json = ReadFamily(family);
    if (!json.ok()) return json.status();
    for (const Json& entry : json->at("cases")) names.insert(Operator(entry));
  }
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace qiao::ascend_test
