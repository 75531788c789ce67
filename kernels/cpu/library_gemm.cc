#include "kernels/cpu/library_gemm.h"

#include <dlfcn.h>
#include <dnnl.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/cpu/linear_arguments.h"
#include "runtime/base/checked.h"

namespace qiao::kernels::cpu {
namespace {

using namespace linear_arg;

constexpr int64_t kSlice = 256;  // outputs of one item of work

// A dtype's name in the library; undefined for those that it is not asked about.
dnnl_data_type_t LibraryType(uint32_t dtype) {
  return dtype == QIAO_F32 ? dnnl_f32 : dtype == QIAO_BF16 ? dnnl_bf16 : dnnl_data_type_undef;
}

}  // namespace

// The entry points, by the names of dnnl.h.
#define QIAO_DNNL_FUNCTIONS(F)                                                                        \
  F(dnnl_engine_create)                                                                               \
  F(dnnl_engine_destroy)                                                                              \
  F(dnnl_stream_create)                                                                               \
  F(dnnl_stream_destroy)                                                                              \
  F(dnnl_stream_wait) F(dnnl_memory_desc_init_by_strides) F(dnnl_memory_desc_get_size)                \
      F(dnnl_matmul_desc_init) F(dnnl_primitive_attr_create) F(dnnl_primitive_attr_destroy)           \
          F(dnnl_primitive_attr_set_scratchpad_mode) F(dnnl_primitive_desc_create)                    \
              F(dnnl_primitive_desc_destroy) F(dnnl_primitive_desc_query_md) F(dnnl_primitive_create) \
                  F(dnnl_primitive_destroy) F(dnnl_memory_create) F(dnnl_memory_destroy)              \
                      F(dnnl_memory_set_data_handle) F(dnnl_primitive_execute)

class GemmLibrary {
 public:
  ~GemmLibrary() {
    if (engine != nullptr) dnnl_engine_destroy(engine);
  }
#define QIAO_DNNL_MEMBER(name) decltype(&::name) name = nullptr;
  QIAO_DNNL_FUNCTIONS(QIAO_DNNL_MEMBER)
#undef QIAO_DNNL_MEMBER
  // OpenMP's, on which the library runs: each of our threads is a team of its own.
  void (*omp_set_num_threads)(int) = nullptr;
  dnnl_engine_t engine = nullptr;
};

std::shared_ptr<const GemmLibrary> LoadGemmLibrary(std::string* why) {
  static std::mutex mutex;
  static std::weak_ptr<const GemmLibrary> loaded;
  std::lock_guard<std::mutex> lock(mutex);
  if (auto library = loaded.lock()) return library;
  void* handle = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    *why = std::string("libdnnl.so.2 cannot be loaded (apt-get install libdnnl2): ") + dlerror();
    return nullptr;
  }
  // Never unloaded: its thread pool may outlive any use of it.
  auto library = std::make_shared<GemmLibrary>();
#define QIAO_DNNL_LOAD(name)                                                       \
  library->name = reinterpret_cast<decltype(library->name)>(dlsym(handle, #name)); \
  if (library->name == nullptr) {                                                  \
    *why = "libdnnl.so.2 has no " #name;                                           \
    return nullptr;                                                                \
  }
  QIAO_DNNL_FUNCTIONS(QIAO_DNNL_LOAD)
#undef QIAO_DNNL_LOAD
  library->omp_set_num_threads =
      reinterpret_cast<void (*)(int)>(dlsym(handle, "omp_set_num_threads"));  // of a dependency
  if (library->dnnl_engine_create(&library->engine, dnnl_cpu, 0) != dnnl_success) {
    *why = "oneDNN has no CPU engine here";
    return nullptr;
  }
  loaded = library;
  return library;
}

struct LibraryLinear::Impl {
  // One shape: `outputs` columns of y for kLibraryRows rows, and for each thread the four memories of a call.
  struct Shape {
    dnnl_primitive_t primitive = nullptr;
    uint64_t scratch = 0;
    struct Memories {
      dnnl_memory_t x, w, y, scratch;
    };
    std::vector<Memories> memories;
  };

  std::shared_ptr<const GemmLibrary> library;
  std::map<int64_t, Shape> shapes;  // by outputs
  std::vector<dnnl_stream_t> streams;
  uint64_t scratch = 0;  // of one thread
  int64_t w_ld = 0;

  bool Add(int64_t outputs, const qiao_tensor& x, const qiao_tensor& w, const qiao_tensor& y);
  bool Multiply(const Shape& shape, int thread, const void* x, const void* w, void* y, void* scratch) const;
  ~Impl();
};

bool LibraryLinear::Impl::Add(int64_t outputs, const qiao_tensor& x, const qiao_tensor& w,
                              const qiao_tensor& y) {
  const GemmLibrary& l = *library;
  Shape& shape = shapes[outputs];
  if (shape.primitive != nullptr) return true;
  const int64_t k = w.dim[2];
  auto describe = [&](dnnl_memory_desc_t& md, uint32_t dtype, int64_t rows, int64_t cols, int64_t row_stride,
                      int64_t col_stride) {
    const dnnl_dims_t dims = {rows, cols}, strides = {row_stride, col_stride};
    return l.dnnl_memory_desc_init_by_strides(&md, 2, dims, LibraryType(dtype), strides) == dnnl_success;
  };
  dnnl_memory_desc_t x_md, w_md, y_md;
  // W lies as [outputs, K]; the library wants [K, outputs], which the strides say.
  if (!describe(x_md, x.dtype, kLibraryRows, k, x.stride[0], 1) ||
      !describe(w_md, w.dtype, k, outputs, 1, w_ld) ||
      !describe(y_md, y.dtype, kLibraryRows, outputs, y.stride[0], 1)) {
    return false;
  }
  dnnl_matmul_desc_t desc;
  dnnl_primitive_attr_t attr = nullptr;
  dnnl_primitive_desc_t pd = nullptr;
  bool ok = l.dnnl_matmul_desc_init(&desc, &x_md, &w_md, nullptr, &y_md) == dnnl_success &&
            l.dnnl_primitive_attr_create(&attr) == dnnl_success &&
            l.dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success &&
            l.dnnl_primitive_desc_create(&pd, &desc, attr, l.engine, nullptr) == dnnl_success &&
            l.dnnl_primitive_create(&shape.primitive, pd) == dnnl_success;
  if (ok) {
    const dnnl_memory_desc_t* scratch_md = l.dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    shape.scratch = l.dnnl_memory_desc_get_size(scratch_md);
    scratch = std::max(scratch, qiao::RoundUp(shape.scratch, 64));
    for (size_t t = 0; t < streams.size() && ok; ++t) {
      Shape::Memories& m = shape.memories.emplace_back();
      m = {};
      ok = l.dnnl_memory_create(&m.x, &x_md, l.engine, nullptr) == dnnl_success &&
           l.dnnl_memory_create(&m.w, &w_md, l.engine, nullptr) == dnnl_success &&
           l.dnnl_memory_create(&m.y, &y_md, l.engine, nullptr) == dnnl_success &&
           l.dnnl_memory_create(&m.scratch, scratch_md, l.engine, nullptr) == dnnl_success;
    }
  }
  if (pd != nullptr) l.dnnl_primitive_desc_destroy(pd);
  if (attr != nullptr) l.dnnl_primitive_attr_destroy(attr);
  return ok;
}

bool LibraryLinear::Impl::Multiply(const Shape& shape, int thread, const void* x, const void* w, void* y,
                                   void* scratch_memory) const {
  const GemmLibrary& l = *library;
  const Shape::Memories& m = shape.memories[static_cast<size_t>(thread)];
  l.dnnl_memory_set_data_handle(m.x, const_cast<void*>(x));
  l.dnnl_memory_set_data_handle(m.w, const_cast<void*>(w));
  l.dnnl_memory_set_data_handle(m.y, y);
  l.dnnl_memory_set_data_handle(m.scratch, scratch_memory);
  const dnnl_exec_arg_t args[] = {
      {DNNL_ARG_SRC, m.x}, {DNNL_ARG_WEIGHTS, m.w}, {DNNL_ARG_DST, m.y}, {DNNL_ARG_SCRATCHPAD, m.scratch}};
  const dnnl_stream_t stream = streams[static_cast<size_t>(thread)];
  return l.dnnl_primitive_execute(shape.primitive, stream, 4, args) == dnnl_success &&
         l.dnnl_stream_wait(stream) == dnnl_success;
}

LibraryLinear::Impl::~Impl() {
  for (auto& [outputs, shape] : shapes) {
    for (const Shape::Memories& m : shape.memories) {
      for (dnnl_memory_t memory : {m.x, m.w, m.y, m.scratch}) {
        if (memory != nullptr) library->dnnl_memory_destroy(memory);
      }
    }
    if (shape.primitive != nullptr) library->dnnl_primitive_destroy(shape.primitive);
  }
  for (dnnl_stream_t stream : streams) library->dnnl_stream_destroy(stream);
}

LibraryLinear::LibraryLinear(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LibraryLinear::~LibraryLinear() = default;

uint64_t LibraryLinear::workspace_bytes() const { return impl_->scratch * impl_->streams.size(); }

bool LibraryLinear::Takes(const qiao_op_call& call) {
  if (call.op != QIAO_OP_LINEAR || static_cast<const qiao_linear_params*>(call.params)->w_transposed != 0)
    return false;
  const qiao_tensor &x = call.argument[kX], &w = call.argument[kW], &y = call.argument[kY];
  const bool plain = w.scheme == QIAO_SCHEME_NONE && call.argument[kBias].dtype == QIAO_DTYPE_NONE &&
                     call.argument[kResidual].dtype == QIAO_DTYPE_NONE;
  return plain && x.dtype == w.dtype && LibraryType(w.dtype) != dnnl_data_type_undef &&
         LibraryType(y.dtype) != dnnl_data_type_undef && w.layout == QIAO_LAYOUT_PIECES && w.dim[0] == 1 &&
         x.dim[0] >= kLibraryRows;
}

bool LibraryLinear::MayTake(uint32_t dtype, uint32_t scheme) {
  return scheme == QIAO_SCHEME_NONE && LibraryType(dtype) != dnnl_data_type_undef;
}

std::unique_ptr<LibraryLinear> LibraryLinear::Prepare(std::shared_ptr<const GemmLibrary> library,
                                                      const qiao_op_call& call, int threads,
                                                      std::string* why) {
  auto impl = std::make_unique<Impl>();
  impl->library = std::move(library);
  const qiao_tensor &x = call.argument[kX], &w = call.argument[kW], &y = call.argument[kY];
  impl->w_ld = w.dim[2];
  for (int t = 0; t < threads; ++t) {
    dnnl_stream_t stream = nullptr;
    if (impl->library->dnnl_stream_create(&stream, impl->library->engine, dnnl_stream_default_flags) !=
        dnnl_success) {
      *why = "oneDNN gives no stream";
      return nullptr;
    }
    impl->streams.push_back(stream);
  }
  // The pieces are not known yet: a shape for whole slices and one for each length that a piece's last slice
  // can have would be many, so the rest of a piece is cut into slices of halved length down to one output.
  for (int64_t outputs = kSlice; outputs >= 1; outputs /= 2) {
    if (outputs > w.dim[1]) continue;
    if (!impl->Add(outputs, x, w, y)) {
      *why = "oneDNN refuses this shape";
      return nullptr;
    }
  }
  return std::unique_ptr<LibraryLinear>(new LibraryLinear(std::move(impl)));
}

bool LibraryLinear::Run(const KernelCall& call, ThreadPool& pool) const {
  const qiao_tensor &xt = call.tensor[kX], &wt = call.tensor[kW], &yt = call.tensor[kY];
  const auto& view = *call.data<const qiao_weight_view>(kW);
  const int64_t live = LiveRows(call, kX), all = xt.dim[0], n = wt.dim[1];
  const int64_t x_size = ElementBytes(xt.dtype), w_size = ElementBytes(wt.dtype),
                y_size = ElementBytes(yt.dtype);
  std::atomic<bool> ok = true;
  pool.ParallelFor(CeilDiv(n, kSlice), 1, [&](int64_t begin, int64_t end, int thread) {
    if (impl_->library->omp_set_num_threads != nullptr) impl_->library->omp_set_num_threads(1);
    char* scratch = static_cast<char*>(call.workspace) + static_cast<uint64_t>(thread) * impl_->scratch;
    const int64_t last = std::min(n, end * kSlice);
    for (int64_t at = begin * kSlice; at < last;) {
      // The piece that output `at` is a row of.
      const qiao_piece* piece = view.piece;
      int64_t row = at;
      for (; row >= piece->rows; ++piece) row -= piece->rows;
      const int64_t left = std::min(last - at, piece->rows - row);
      int64_t outputs = kSlice;
      while (outputs > left) outputs /= 2;
      const Impl::Shape& shape = impl_->shapes.at(outputs);
      const char* w = static_cast<const char*>(piece->data) + row * piece->ld * w_size;
      for (int64_t m = 0; m < live; m += kLibraryRows) {
        // The last call begins early enough to stay inside the bucket; what it computes again comes out the
        // same.
        const int64_t first = std::min(m, all - kLibraryRows);
        const char* x = call.data<const char>(kX) + first * xt.stride[0] * x_size;
        char* y = call.data<char>(kY) + (first * yt.stride[0] + at) * y_size;
        if (!impl_->Multiply(shape, thread, x, w, y, scratch)) ok = false;
      }
      at += outputs;
    }
  });
  return ok;
}

}  // namespace qiao::kernels::cpu
