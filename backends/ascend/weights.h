// How weights lie in the memory of an Ascend device, and what that costs.
//
//   rows in f32         f32, block scales multiplied in: what the numerics ask for
//   rows in bf16        bf16. On chips without matrix units for E4M3 (910B, 910C) a weight in E4M3 becomes INT8 with a
//                       scale for each output channel (W8A8) where the error that this adds is within a limit; products
//                       by heads (kv_b, absorbed) and embeddings stay bf16, as do weights that the files hold in bf16
//                       (head, router)
//   rows in int8        INT8 with a scale for each output channel
//
// What is multiplied in bf16 or INT8 without heads lies in FRACTAL_NZ, the order in which the matrix units read: the
// matrices as converted are [N, K] for bf16 products, [K, N] for INT8 products and for each expert of a grouped product,
// with scales behind the numbers. Products in f32 and by heads read [N, K] as the files have it.
// An embedding has a row of zeros before and after its own, for ids that are out of range.
//
// Threads: all functions may be called from several threads.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <qiao/backend.hpp>
#include <string>

namespace qiao::ascend {

struct WeightOptions {
  // "auto": INT8 where its error allows; "bf16": never INT8.
  std::string narrow = "auto";
  // The largest error that INT8 may add to a weight in E4M3: rms of the difference over rms of the weight. Rounding to
  // E4M3 (four significant bits, uniformly hit) has itself cost about 0.026, and per-channel INT8 of Gaussian rows
  // costs 0.010 more.
  double int8_error = 0.02;
  bool nz = true;  // FRACTAL_NZ where there is a product for it; else row by row
};
void AddWeightOptions(plugin::Options& options, WeightOptions& to);

// Where the parts of a stored INT8 weight lie, in bytes from its start.
struct Int8Layout {
  uint64_t scales;  // f32 [groups, N]
  uint64_t bytes;   // of all
};
Int8Layout LayOutInt8(int64_t groups, int64_t n, int64_t k, bool nz);

class Weights {
 public:
  Weights(plugin::Host host, bool has_f8, WeightOptions options)
      : host_(std::move(host)), has_f8_(has_f8), options_(std::move(options)) {}

  plugin::Status Choose(const qiao_weight_request& request, qiao_weight_choice& choice);
  plugin::Status Store(plugin::Stream& stream, const qiao_weight_request& request,
                       const qiao_weight_choice& choice, void* dst);
  bool nz() const { return options_.nz; }
  // What the options say, in one line.
  std::string Summary() const;
  // Logs what was stored since the last call: weights, bytes and errors by dtype.
  void Report();

 private:
  struct Stored {
    int64_t weights = 0;
    uint64_t bytes = 0;
    double worst = 0;
  };
  double Int8Error(const qiao_weight_request& request);
  bool StoresNz(const qiao_weight_request& request, uint32_t dtype) const;

  plugin::Host host_;
  bool has_f8_;
  WeightOptions options_;
  std::mutex mutex_;
  std::map<const void*, double> int8_error_;  // by the first piece's data; guarded by mutex_, as is:
  std::map<std::string, Stored> stored_;
};

}  // namespace qiao::ascend
