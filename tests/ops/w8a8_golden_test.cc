// quantise and linear with quantised rows against tests/golden/deepseek_v3_fp8_mtp: inputs, quantised inputs,
// scales and products of twelve projections, recorded from an implementation in torch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>

#include "kernels/reference/reference.h"
#include "runtime/formats/safetensors.h"
#include "runtime/ops/graph.h"

namespace qiao {
namespace {

constexpr char kFolder[] = QIAO_TEST_DATA "/golden/deepseek_v3_fp8_mtp/";

class W8A8Golden : public testing::Test {
 protected:
  void SetUp() override {
    auto expected = formats::SafetensorsFile::Open(std::string(kFolder) + "expected.safetensors");
    auto model = formats::SafetensorsFile::Open(std::string(kFolder) + "model.safetensors");
    ASSERT_TRUE(expected.ok()) << expected.status();
    ASSERT_TRUE(model.ok()) << model.status();
    expected_.emplace(*std::move(expected));
    model_.emplace(*std::move(model));
    for (const formats::TensorView& t : expected_->tensors()) {
      const std::string_view prefix = "lin.", suffix = ".xq";
      if (t.name.substr(0, prefix.size()) == prefix && t.name.size() > suffix.size() &&
          t.name.substr(t.name.size() - suffix.size()) == suffix) {
        modules_.emplace_back(t.name.substr(prefix.size(), t.name.size() - prefix.size() - suffix.size()));
      }
    }
    ASSERT_EQ(modules_.size(), 12u);
  }

  // A copy that is aligned for any dtype.
  static std::vector<float> Copy(const formats::TensorView& t) {
    std::vector<float> copy(t.data.size() / sizeof(float) + 1);
    std::memcpy(copy.data(), t.data.data(), t.data.size());
    return copy;
  }
  const formats::TensorView& Expected(const std::string& name) const {
    const formats::TensorView* t = expected_->Find(name);
    EXPECT_NE(t, nullptr) << name;
    return *t;
  }

  std::optional<formats::SafetensorsFile> expected_, model_;
  std::vector<std::string> modules_;
};

TEST_F(W8A8Golden, QuantiseIsBitwiseEqual) {
  for (const std::string& module : modules_) {
    SCOPED_TRACE(module);
    const auto& x = Expected("lin." + module + ".x");
    const int64_t rows = x.shape[0], width = x.shape[1], scales = (width + 127) / 128;
    std::vector<float> input = Copy(x), scale(static_cast<size_t>(rows * scales));
    std::vector<uint8_t> q(static_cast<size_t>(rows * width));
    const qiao_tensor tensors[] = {ops::MakeTensor(DType::kF32, {rows, width}),
                                   {},
                                   ops::MakeTensor(DType::kF8E4M3, {rows, width}),
                                   ops::MakeTensor(DType::kF32, {rows, scales})};
    void* pointers[] = {input.data(), nullptr, q.data(), scale.data()};
    qiao_quantise_params p{};
    p.struct_size = sizeof(p);
    p.block = 128;
    p.floor = 1e-4f;
    kernels::KernelCall call;
    call.params = &p;
    call.tensor = tensors;
    call.pointer = pointers;
    kernels::reference::Quantise(call);
    const auto& xq = Expected("lin." + module + ".xq");
    const auto& xs = Expected("lin." + module + ".xs");
    ASSERT_EQ(xq.data.size(), q.size());
    ASSERT_EQ(xs.data.size(), scale.size() * sizeof(float));
    EXPECT_EQ(std::memcmp(q.data(), xq.data.data(), q.size()), 0);
    EXPECT_EQ(std::memcmp(scale.data(), xs.data.data(), xs.data.size()), 0);
  }
}

// y from f32 rows, y_w8a8 from quantised ones, both with the weight's 128 x 128 scales.
TEST_F(W8A8Golden, LinearAgrees) {
  for (const std::string& module : modules_) {
    SCOPED_TRACE(module);
    const formats::TensorView* w = model_->Find(module + ".weight");
    const formats::TensorView* w_scale = model_->Find(module + ".weight_scale_inv");
    ASSERT_NE(w, nullptr);
    ASSERT_NE(w_scale, nullptr);
    const auto& x = Expected("lin." + module + ".x");
    const int64_t rows = x.shape[0], k = x.shape[1], n = w->shape[0], scales = (k + 127) / 128;
    std::vector<float> w_scales = Copy(*w_scale);
    qiao_piece piece{};
    piece.struct_size = sizeof(piece);
    piece.dtype = QIAO_F8E4M3;
    piece.data = w->data.data();
    piece.rows = n;
    piece.cols = piece.ld = k;
    piece.scheme = QIAO_SCHEME_BLOCK;
    piece.scale = w_scales.data();
    piece.scale_ld = scales;
    piece.block[0] = piece.block[1] = 128;
    const int32_t group_start[] = {0, 1};
    qiao_weight_view view{sizeof(view), 1, group_start, &piece};
    qiao_tensor weight = ops::MakeTensor(DType::kF8E4M3, {1, n, k});
    weight.layout = QIAO_LAYOUT_PIECES;
    weight.scheme = QIAO_SCHEME_BLOCK;
    weight.block[0] = weight.block[1] = 128;
    for (bool quantised : {false, true}) {
      SCOPED_TRACE(quantised ? "y_w8a8" : "y");
      std::vector<float> input = Copy(quantised ? Expected("lin." + module + ".xq") : x);
      std::vector<float> x_scale = Copy(Expected("lin." + module + ".xs")), y(static_cast<size_t>(rows * n));
      qiao_tensor tx = ops::MakeTensor(quantised ? DType::kF8E4M3 : DType::kF32, {rows, k});
      tx.scheme = quantised ? QIAO_SCHEME_BLOCK : QIAO_SCHEME_NONE;
      tx.block[0] = 1;
      tx.block[1] = 128;
      const qiao_tensor tensors[] = {
          tx,     quantised ? ops::MakeTensor(DType::kF32, {rows, scales}) : qiao_tensor{},
          weight, {},
          {},     ops::MakeTensor(DType::kF32, {rows, n})};
      void* pointers[] = {input.data(), quantised ? x_scale.data() : nullptr, &view, nullptr, nullptr,
                          y.data()};
      qiao_linear_params p{};
      p.struct_size = sizeof(p);
      kernels::KernelCall call;
      call.params = &p;
      call.tensor = tensors;
      call.pointer = pointers;
      kernels::reference::Linear(call);
      const std::vector<float> want = Copy(Expected("lin." + module + (quantised ? ".y_w8a8" : ".y")));
      double largest = 0;
      for (size_t i = 0; i < y.size(); ++i)
        largest = std::max(largest, std::fabs(static_cast<double>(want[i])));
      ASSERT_GT(largest, 0);
      for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], want[i], 1e-5 * largest) << i;
    }
  }
}

}  // namespace
}  // namespace qiao
