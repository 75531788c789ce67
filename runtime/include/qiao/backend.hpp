// qiao/backend.hpp: writing a backend in C++ instead of filling the C structs of qiao/backend.h by hand.
// Header-only, C++20, standard library only. backends/null is the template to copy and holds the porting
// guide.
//
// A backend is a class derived from Device (or HostDevice, below, whose memory is the host's), one class
// derived from Operation for each operation that it has, and one line that exports it:
//
//   class MyDevice : public qiao::plugin::Device {
//    public:
//     static uint32_t Count(std::string& why);                                     // devices in this machine
//     static Status Open(uint32_t index, Host host, std::unique_ptr<Device>& out);
//     ...
//   };
//   QIAO_DEFINE_BACKEND(MyDevice, "mychip", "0.1.0", "My Company")
//
// The adapter behind that line (qiao/backend_adapter.hpp) keeps what qiao/backend.h asks of every plugin:
//   - no exception leaves the plugin: std::bad_alloc becomes QIAO_RESOURCE_EXHAUSTED, any other
//   QIAO_INTERNAL;
//   - structs of an older host are filled up with zeros; longer ones with a non-zero tail, and operations
//   that the
//     registry does not hold, are answered "unsupported". What the classes below are given always has the
//     size and the fields of this header;
//   - results are cut to what the host has room for.
// A virtual function that is not overridden answers QIAO_UNIMPLEMENTED, which for weights, caches and output
// sizes means "the runtime's default".
//
// Threads: as in qiao/backend.h. Devices, operations and kernels are called from several threads at once; one
// stream from one thread at a time.
#ifndef QIAO_BACKEND_HPP_
#define QIAO_BACKEND_HPP_

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qiao/backend.h"

namespace qiao::plugin {

// printf into a string.
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
inline std::string
Format(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  std::string text(length > 0 ? static_cast<size_t>(length) : 0, '\0');
  if (length > 0) std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  return text;
}

// ---- results ----

// A code of qiao/backend.h, what failed and what to try, and the vendor's own number. An OK status holds no
// memory.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(int32_t code, std::string message, int64_t vendor_code = 0)
      : code_(code), vendor_code_(vendor_code), message_(std::move(message)) {}

  bool ok() const { return code_ == QIAO_OK; }
  int32_t code() const { return code_; }
  int64_t vendor_code() const { return vendor_code_; }
  const std::string& message() const { return message_; }

 private:
  int32_t code_ = QIAO_OK;
  int64_t vendor_code_ = 0;
  std::string message_;
};

inline Status Ok() { return {}; }
inline Status InvalidArgument(std::string message) { return {QIAO_INVALID_ARGUMENT, std::move(message)}; }
inline Status NotFound(std::string message) { return {QIAO_NOT_FOUND, std::move(message)}; }
inline Status ResourceExhausted(std::string message) { return {QIAO_RESOURCE_EXHAUSTED, std::move(message)}; }
inline Status FailedPrecondition(std::string message) {
  return {QIAO_FAILED_PRECONDITION, std::move(message)};
}
inline Status Unimplemented(std::string message) { return {QIAO_UNIMPLEMENTED, std::move(message)}; }
inline Status Internal(std::string message) { return {QIAO_INTERNAL, std::move(message)}; }
// After a fault that leaves the device unusable; from then on the runtime refuses every call itself.
inline Status DeviceLost(std::string message, int64_t vendor_code = 0) {
  return {QIAO_DEVICE_LOST, std::move(message), vendor_code};
}

#define QIAO_PLUGIN_RETURN_IF_ERROR(expression)                                                      \
  do {                                                                                               \
    if (::qiao::plugin::Status qiao_status_ = (expression); !qiao_status_.ok()) return qiao_status_; \
  } while (false)

// An answer to "can you run this call?". A yes is a promise that Prepare and Launch keep; a no says which
// property of the call stands in the way ("K = 100 is not a multiple of 16"), because the porter will read it
// in --placement.
struct Answer {
  bool yes = false;
  std::string why;

  static Answer Yes(std::string kernel = {}) { return {true, std::move(kernel)}; }
  static Answer No(std::string why) { return {false, std::move(why)}; }
};

// ---- operations ----

class Stream;

// A prepared operation: immutable after Prepare, shared by threads.
class Kernel {
 public:
  virtual ~Kernel() = default;
  // Workspace, flags (QIAO_PLAN_...) and the name under which traces show it. struct_size is filled by the
  // adapter.
  virtual void Info(qiao_plan_info& info) const = 0;
  // Enqueues the work, or does it at once on a host device. Allocates no device memory and checks nothing
  // that Prepare could check.
  virtual Status Launch(Stream& stream, const qiao_launch& launch) const = 0;

 protected:
  // Copies `name` into info.kernel, cut to its size.
  static void SetName(qiao_plan_info& info, std::string_view name) {
    const size_t n = name.copy(info.kernel, sizeof(info.kernel) - 1);
    info.kernel[n] = '\0';
  }
};

// One operation of a device. `call` lives only as long as the function runs: a kernel copies what it needs
// (CallCopy).
class Operation {
 public:
  virtual ~Operation() = default;
  virtual Answer Support(const qiao_op_call& call) const = 0;
  // Called only after Support said yes; returns null and sets `status` where it fails all the same.
  virtual std::unique_ptr<Kernel> Prepare(const qiao_op_call& call, Status& status) const = 0;
  // Bytes of an opaque output (attention_schedule).
  virtual Status OutputBytes(const qiao_op_call&, uint64_t& bytes) const {
    bytes = 0;
    return Ok();
  }
};

// The operations that a device has, by id. Filled by the device's constructor, read-only afterwards.
class Operations {
 public:
  // Adds (or replaces) an operation; `args` go to its constructor.
  template <typename Op, typename... Args>
  Op& Add(uint32_t id, Args&&... args) {
    auto op = std::make_unique<Op>(std::forward<Args>(args)...);
    Op& result = *op;
    by_id_[id] = std::move(op);
    return result;
  }
  const Operation* Find(uint32_t id) const {
    auto it = by_id_.find(id);
    return it == by_id_.end() ? nullptr : it->second.get();
  }
  bool empty() const { return by_id_.empty(); }

 private:
  std::map<uint32_t, std::unique_ptr<Operation>> by_id_;
};

// ---- the host ----

// What the host gave to open: hooks and options. Copyable; the hooks live as long as the device.
class Host {
 public:
  Host() = default;
  // `host` may be null or shorter than this header's struct.
  explicit Host(const qiao_host* host);

  void Log(int32_t level, const std::string& message) const {
    if (host_.log) host_.log(host_.context, level, message.c_str());
  }
  // To be called before device memory is taken, with Release after it was given back.
  Status Reserve(uint64_t bytes) const;
  void Release(uint64_t bytes) const {
    if (host_.release) host_.release(host_.context, bytes);
  }
  // Host memory through the embedder's allocator, or the C library's. Null when there is none.
  void* Allocate(uint64_t bytes, uint64_t alignment) const;
  void Deallocate(void* pointer, uint64_t bytes) const;

  const std::vector<std::pair<std::string, std::string>>& options() const { return options_; }

 private:
  qiao_host host_{};
  std::vector<std::pair<std::string, std::string>> options_;
};

// Reads the options of a device:
//
//   Options options(host);
//   options.Integer("threads", threads, 0, 1024).Text("isa", isa, {"auto", "v2", "scalar"}).Flag("pin",
//   pin); QIAO_PLUGIN_RETURN_IF_ERROR(options.Finish());
//
// A variable keeps its value where its option was not given. Finish reports the first bad value, or an
// unknown key together with the known ones.
class Options {
 public:
  explicit Options(const Host& host) : given_(host.options()) {}

  Options& Integer(const char* key, int64_t& value, int64_t least, int64_t most);
  Options& Number(const char* key, double& value);
  Options& Flag(const char* key, bool& value);  // true, 1, on; false, 0, off
  // Any text, or one of `allowed` where that is not empty.
  Options& Text(const char* key, std::string& value, std::vector<std::string> allowed = {});
  Status Finish() const;

 private:
  const std::string* Take(const char* key);
  void Fail(const char* key, const std::string& value, const std::string& wanted);

  std::vector<std::pair<std::string, std::string>> given_;
  std::vector<std::string> known_;
  Status bad_;
};

// ---- devices ----

class Device;

// A captured step.
class Capture {
 public:
  virtual ~Capture() = default;
  // Called before Replay where a captured plan reads the host's batch; copies what it keeps.
  virtual Status Update(const qiao_batch& batch) = 0;
  virtual Status Replay(Stream& stream) = 0;
};

// An in-order queue of a device. A backend derives its own and casts: static_cast<MyStream&>(stream).
class Stream {
 public:
  virtual ~Stream() = default;
  virtual Status Copy(int32_t kind, void* dst, const void* src, uint64_t bytes) = 0;  // QIAO_COPY_...
  virtual Status Fill(void* dst, uint8_t byte, uint64_t bytes) = 0;
  virtual Status Synchronize() = 0;
  virtual Status BeginCapture() { return Unimplemented("this backend captures nothing"); }
  virtual Status EndCapture(std::unique_ptr<Capture>&) {
    return Unimplemented("this backend captures nothing");
  }

  Device& device() const { return *device_; }

 private:
  friend struct Adapter;
  Device* device_ = nullptr;  // set by the adapter
};

class Event {
 public:
  virtual ~Event() = default;
  virtual Status Record(Stream& stream) = 0;
  virtual Status Wait(Stream& stream) = 0;  // the stream waits
  virtual Status Synchronize() = 0;         // the host waits
  // Seconds from `start` to this event; both have passed.
  virtual Status Elapsed(const Event& start, double& seconds) const = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  // Filled with zeros before; alignment 64 is set and may be changed. SetText fills the texts.
  virtual Status Properties(qiao_device_properties& properties) = 0;

  virtual Status Allocate(uint64_t, void**) { return Missing("allocate"); }
  virtual void Free(void*) {}
  virtual Status CreateStream(std::unique_ptr<Stream>&) { return Missing("stream_create"); }
  virtual Status CreateEvent(std::unique_ptr<Event>&) { return Missing("event_create"); }

  // Each piece of the request has this header's size.
  virtual Status ChooseWeight(const qiao_weight_request&, qiao_weight_choice&) {
    return Missing("weight_choose");
  }
  virtual Status StoreWeight(Stream&, const qiao_weight_request&, const qiao_weight_choice&, void*) {
    return Missing("weight_store");
  }
  virtual Status ChooseCache(int64_t /*pages*/, int64_t /*page_tokens*/,
                             std::vector<qiao_row_kind>& /*kinds*/, uint64_t& /*pool_bytes*/) {
    return Missing("cache_choose");
  }

  // Filled with zeros before. stream_bytes 0: as much memory as is right here.
  virtual Status MeasureLimits(uint64_t /*stream_bytes*/, qiao_device_limits&) {
    return Missing("measure_limits");
  }

  const Operations& operations() const { return operations_; }

 protected:
  Operations& registry() { return operations_; }

  template <size_t N>
  static void SetText(char (&field)[N], std::string_view text) {
    const size_t n = text.copy(field, N - 1);
    field[n] = '\0';
  }

 private:
  static Status Missing(const char* entry) {
    return Unimplemented(std::string(entry) + " is not implemented by this backend");
  }
  friend struct Adapter;
  Operations operations_;
  std::string backend_name_;  // set by the adapter, for its messages
};

// An operation's name and the size of its parameter struct; 0 and "op 4711" for an id that this header does
// not know.
uint64_t ParamsSize(uint32_t op);
std::string OpName(uint32_t op);

// A call that owns its parameters and descriptions, for kernels that keep them. Structs that are shorter than
// this header's are filled up with zeros.
class CallCopy {
 public:
  CallCopy() = default;
  // Fails with QIAO_UNIMPLEMENTED for an unknown id, for non-zero tails that this header does not know and
  // for more than QIAO_MAX_ARGS arguments.
  static Status Make(const qiao_op_call& call, CallCopy& out);

  uint32_t op() const { return op_; }
  const void* params() const { return params_; }
  template <typename P>
  const P& params_as() const {
    return *reinterpret_cast<const P*>(params_);
  }
  const std::vector<qiao_tensor>& tensors() const { return tensors_; }
  // Points into this object.
  qiao_op_call call() const {
    return {sizeof(qiao_op_call), op_, params_, static_cast<uint32_t>(tensors_.size()), tensors_.data()};
  }

 private:
  uint32_t op_ = 0;
  alignas(16) unsigned char params_[256] = {};
  std::vector<qiao_tensor> tensors_;
};

template <typename P>
const P& ParamsOf(const qiao_op_call& call) {
  return *static_cast<const P*>(call.params);
}

// The rows of an argument that this step computes, as far as the host knows them: all of dim[0] for
// QIAO_LIVE_ROUTED, whose count is on the device, and where the launch has no batch.
inline int64_t LiveRows(const qiao_tensor& tensor, const qiao_batch* batch) {
  const int64_t all = tensor.dim[0];
  int64_t live = all;
  if (batch && tensor.live == QIAO_LIVE_ROWS) live = batch->rows;
  if (batch && tensor.live == QIAO_LIVE_SEQS) live = batch->seqs;
  if (batch && tensor.live == QIAO_LIVE_LOGITS) live = batch->logit_rows;
  return live < all ? live : all;
}

// Whether argument i is there.
inline bool Has(const qiao_op_call& call, uint32_t i) {
  return i < call.argument_count && call.argument[i].dtype != QIAO_DTYPE_NONE;
}

}  // namespace qiao::plugin

#include "qiao/backend_adapter.hpp"
#include "qiao/backend_host.hpp"

#endif  // QIAO_BACKEND_HPP_
