/* qiao/backend.h: the boundary between Qiao and a device, in plain C.
 *
 * A backend is a shared library libqiao_backend_NAME.so that exports one function,
 *
 *     const qiao_backend* qiao_backend_entry(uint32_t host_abi_major, uint32_t host_abi_minor);
 *
 * and is loaded with dlopen from QIAO_BACKEND_PATH, so that a vendor can ship it without rebuilding Qiao and in any
 * language. qiao/backend.hpp is a C++ helper over these structs; backends/null is the template to copy.
 *
 * Conventions
 *   - Every struct begins with struct_size, the writer's sizeof; structs only grow at their end. The loader copies the
 *     table and fills entries that are missing or null with stubs that answer QIAO_UNIMPLEMENTED.
 *   - A function returns QIAO_OK or another code, and then fills *error (which may not be null) as far as it can.
 *     Nothing aborts, exits or throws. After a fault that leaves the device unusable, every call returns
 *     QIAO_DEVICE_LOST.
 *   - Calls on different devices, streams and plans may come from different threads at once; calls on one stream come
 *     from one thread at a time. Plans are immutable and shared by threads.
 *   - Handles (qiao_device, qiao_stream, ...) are the backend's own; the host passes them back untouched.
 *
 * Version 0: may change until three real devices stand on it.
 */
#ifndef QIAO_BACKEND_H_
#define QIAO_BACKEND_H_

#include <stddef.h>
#include <stdint.h>

#include "qiao/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QIAO_ABI_MAJOR 0
#define QIAO_ABI_MINOR 1

/* Codes: the numbers are those of absl::StatusCode, plus one. */
enum {
  QIAO_OK = 0,
  QIAO_CANCELLED = 1,
  QIAO_UNKNOWN = 2,
  QIAO_INVALID_ARGUMENT = 3,
  QIAO_NOT_FOUND = 5,
  QIAO_RESOURCE_EXHAUSTED = 8,
  QIAO_FAILED_PRECONDITION = 9,
  QIAO_UNIMPLEMENTED = 12,
  QIAO_INTERNAL = 13,
  QIAO_UNAVAILABLE = 14,
  QIAO_DEVICE_LOST = 100
};

typedef struct qiao_error {
  uint32_t struct_size;
  int32_t code;        /* same as the return value */
  int64_t vendor_code; /* the vendor's own number, 0 if none */
  char message[1024];  /* UTF-8, ends in 0: what failed, the vendor's text, what to try */
} qiao_error;

typedef struct qiao_device qiao_device;
typedef struct qiao_stream qiao_stream;
typedef struct qiao_event qiao_event;
typedef struct qiao_plan qiao_plan;
typedef struct qiao_capture qiao_capture;

/* ---- opening ---- */

/* "threads" is given to every backend: one without host threads passes over it. "order" = "fast" is given where sums may
 * run in any order (plans then need not be row-invariant); a backend that has one order only does not know it. All other
 * keys are the backend's own. */
typedef struct qiao_option {
  const char* key;
  const char* value;
} qiao_option;

enum { QIAO_LOG_DEBUG = 0, QIAO_LOG_INFO = 1, QIAO_LOG_WARNING = 2, QIAO_LOG_ERROR = 3 };

typedef struct qiao_host {
  uint32_t struct_size;
  uint32_t option_count;
  const qiao_option* options; /* unknown keys are QIAO_INVALID_ARGUMENT that lists the known ones */
  void* context;
  /* Both may be null. May be called from any thread. */
  void (*log)(void* context, int32_t level, const char* message);
  /* Asked before device memory is taken and told after it was given back, so that the embedder's budget covers weights,
   * arena and pages. Returns 0 to refuse. */
  int32_t (*reserve)(void* context, uint64_t bytes);
  void (*release)(void* context, uint64_t bytes);
  /* Host memory for unified devices; null means the backend's own. Aligned to 64 or to `alignment`, what is more. */
  void* (*allocate)(void* context, uint64_t bytes, uint64_t alignment);
  void (*deallocate)(void* context, void* pointer, uint64_t bytes);
} qiao_host;

/* ---- what a device is ---- */

enum {
  QIAO_DEVICE_UNIFIED = 1u << 0,              /* the host may read and write device memory directly */
  QIAO_DEVICE_DEFAULT_STREAM_SYNCS = 1u << 1, /* work on the default stream waits for all streams */
  QIAO_DEVICE_CAPTURE = 1u << 2,              /* the capture entries work */
  QIAO_DEVICE_EMULATED = 1u << 3              /* not the silicon it stands for */
};

typedef struct qiao_device_properties {
  uint32_t struct_size;
  uint32_t flags;
  char name[128];        /* "MyChip 900 (64 GB)" */
  char description[512]; /* one line a fact: instruction sets used, and why not the next better one */
  uint64_t memory_bytes, memory_free_bytes; /* 0 = unknown */
  uint64_t alignment;      /* of allocations and of arguments inside them; at least 16, a power of two */
  uint32_t warp_width;     /* 0 where the word means nothing */
  uint32_t page_tokens;    /* preferred tokens a cache page; 0 = any */
  uint32_t threads;        /* host threads that launches use; 0 where none */
  uint32_t matrix_dtypes;  /* bit (1 << dtype) for each dtype with a matrix unit */
  double read_bytes_per_s; /* nominal; 0 = unknown. Benchmarks measure their own. */
  double flops_bf16, flops_f8, ops_i8;
} qiao_device_properties;

/* What a device can do at most, measured by fixed means that do not depend on its kernels: the denominators of
 * rooflines. 0 where it was not measured. */
typedef struct qiao_device_limits {
  uint32_t struct_size;
  uint32_t threads; /* host threads that the loops used; 0 where none */
  double read_bytes_per_s; /* of memory that no cache holds */
  /* A product and a sum count as two. bf16: products of bf16 pairs with sums in f32; i8: of int8 pairs, in int32. */
  double flops_f32, flops_bf16, ops_i8;
  char how[1024]; /* one line a figure: by which loop, over how much memory */
} qiao_device_limits;

/* ---- weights: negotiated once for each weight and use ---- */

/* Where the host would rather have a weight, of a device that shares its memory. QIAO_WEIGHT_MAP: in its file, mapped.
 * QIAO_WEIGHT_COPY: in the device's own memory, where it may lie on huge pages and in an order of the backend's
 * choosing. A backend that stores weights itself then answers OPAQUE or STRIDED; pieces it answers with PIECES are
 * copied by the host into memory from `allocate`, and the kernel sees them there. A wish, and no more: a backend may
 * answer as it would have without. Devices with memory of their own need not look at it. */
enum { QIAO_WEIGHT_MAP = 0, QIAO_WEIGHT_COPY = 1 };

typedef struct qiao_weight_request {
  uint32_t struct_size;
  uint32_t op;
  uint32_t argument;      /* which argument of the operation it is */
  uint32_t activation;    /* dtype of the activation that it will meet */
  const void* params;     /* of the operation */
  int64_t groups, rows, cols; /* [groups, rows, cols] */
  uint32_t piece_count;
  const qiao_piece* piece;
  uint32_t residence; /* QIAO_WEIGHT_MAP or QIAO_WEIGHT_COPY in weight_choose, 0 in weight_store */
} qiao_weight_request;

typedef struct qiao_weight_choice {
  uint32_t struct_size;
  /* PIECES: stays in the files or is copied as it is (residence), nothing is stored, bytes = 0.
   * STRIDED: row-major [groups, rows, cols], scheme NONE.
   * OPAQUE: whatever weight_store writes, scales included. */
  uint32_t dtype, scheme, layout;
  int32_t block[2];
  uint32_t activation; /* the activation dtype it wants: as asked, or QIAO_F8E4M3 / QIAO_I8 */
  uint64_t bytes, alignment;
  double error;  /* largest relative error that storing adds, 0 when exact */
  char why[256]; /* one line for `infer inspect` */
} qiao_weight_choice;

/* ---- caches ---- */

typedef struct qiao_row_kind {
  uint32_t struct_size;
  uint32_t dtype;
  int64_t width; /* elements a token */
  /* Filled by cache_choose: where token row r of page p lies, in bytes from the pool's start:
   * offset + p * page_stride + r * row_stride. */
  uint64_t offset, page_stride, row_stride;
} qiao_row_kind;

/* ---- operations ---- */

typedef struct qiao_support {
  uint32_t struct_size;
  int32_t yes;
  char why[256]; /* why not; may name the kernel when yes */
} qiao_support;

enum {
  QIAO_PLAN_ROW_INVARIANT = 1u << 0,    /* a row's bits do not depend on the other rows, nor on how many there are */
  QIAO_PLAN_CAPTURABLE = 1u << 1,       /* may be launched while capturing */
  QIAO_PLAN_READS_HOST_BATCH = 1u << 2  /* uses qiao_batch's host arrays: a captured step needs update() */
};

typedef struct qiao_plan_info {
  uint32_t struct_size;
  uint32_t flags;
  uint64_t workspace_bytes;
  char kernel[128]; /* the name under which traces and profiles show it */
} qiao_plan_info;

enum { QIAO_COPY_TO_DEVICE = 1, QIAO_COPY_TO_HOST = 2, QIAO_COPY_ON_DEVICE = 3 };

/* ---- the table ---- */

typedef struct qiao_backend {
  uint32_t struct_size;
  uint32_t abi_major, abi_minor;
  const char* name;    /* as in libqiao_backend_NAME.so */
  const char* version; /* the plugin's own */
  const char* vendor;

  /* devices. device_count may be 0 (no such hardware here; *error then says why, with code QIAO_OK). */
  int32_t (*device_count)(uint32_t* count, qiao_error*);
  int32_t (*open)(uint32_t index, const qiao_host*, qiao_device** out, qiao_error*);
  void (*close)(qiao_device*);
  int32_t (*properties)(qiao_device*, qiao_device_properties*, qiao_error*);

  /* memory: uninitialised; zero bytes give a pointer that may be freed and not used */
  int32_t (*allocate)(qiao_device*, uint64_t bytes, void** out, qiao_error*);
  void (*free)(qiao_device*, void*);
  /* In stream order. Host memory must stay as it is until the stream has passed the copy. */
  int32_t (*copy)(qiao_stream*, int32_t kind, void* dst, const void* src, uint64_t bytes, qiao_error*);
  int32_t (*fill)(qiao_stream*, void* dst, int32_t byte, uint64_t bytes, qiao_error*);

  /* order: work on a stream runs in order; different streams are ordered by events only */
  int32_t (*stream_create)(qiao_device*, qiao_stream** out, qiao_error*);
  void (*stream_destroy)(qiao_stream*);
  int32_t (*stream_synchronize)(qiao_stream*, qiao_error*);
  int32_t (*event_create)(qiao_device*, qiao_event** out, qiao_error*);
  void (*event_destroy)(qiao_event*);
  int32_t (*event_record)(qiao_event*, qiao_stream*, qiao_error*);
  int32_t (*event_wait)(qiao_event*, qiao_stream*, qiao_error*); /* the stream waits */
  int32_t (*event_synchronize)(qiao_event*, qiao_error*);        /* the host waits */
  int32_t (*event_elapsed)(qiao_event* start, qiao_event* end, double* seconds, qiao_error*);

  /* weights. weight_choose may be absent: weights are then asked for as PIECES on unified devices and as plain
   * row-major matrices elsewhere. weight_store writes what was chosen into dst (choice->bytes). */
  int32_t (*weight_choose)(qiao_device*, const qiao_weight_request*, qiao_weight_choice*, qiao_error*);
  int32_t (*weight_store)(qiao_stream*, const qiao_weight_request*, const qiao_weight_choice*, void* dst, qiao_error*);

  /* caches: how a layer's row kinds are packed in a pool of `pages` pages; *pool_bytes is the pool's size. May be
   * absent: each kind is then contiguous, one after the other. */
  int32_t (*cache_choose)(qiao_device*, int64_t pages, int64_t page_tokens, uint32_t kind_count, qiao_row_kind* kind,
                          uint64_t* pool_bytes, qiao_error*);

  /* operations. A yes of support is a promise that prepare and launch keep. prepare does what is slow (compiling,
   * choosing algorithms); launch only enqueues: no device memory is allocated, nothing is checked twice.
   * output_bytes: the size of an opaque output (attention_schedule); absent means 0. */
  int32_t (*support)(qiao_device*, const qiao_op_call*, qiao_support*, qiao_error*);
  int32_t (*output_bytes)(qiao_device*, const qiao_op_call*, uint64_t* bytes, qiao_error*);
  int32_t (*prepare)(qiao_device*, const qiao_op_call*, qiao_plan** out, qiao_plan_info*, qiao_error*);
  void (*plan_destroy)(qiao_plan*);
  int32_t (*launch)(qiao_plan*, qiao_stream*, const qiao_launch*, qiao_error*);

  /* capture and replay of a whole step */
  int32_t (*capture_begin)(qiao_stream*, qiao_error*);
  int32_t (*capture_end)(qiao_stream*, qiao_capture** out, qiao_error*);
  int32_t (*capture_update)(qiao_capture*, const qiao_batch*, qiao_error*);
  int32_t (*capture_replay)(qiao_capture*, qiao_stream*, qiao_error*);
  void (*capture_destroy)(qiao_capture*);

  /* limits: takes seconds and the whole device. stream_bytes: how much memory the reads go over, 0 = the backend's
   * choice. May be absent. */
  int32_t (*measure_limits)(qiao_device*, uint64_t stream_bytes, qiao_device_limits*, qiao_error*);
} qiao_backend;

#if defined(_WIN32)
#define QIAO_BACKEND_EXPORT __declspec(dllexport)
#else
#define QIAO_BACKEND_EXPORT __attribute__((visibility("default")))
#endif

typedef const qiao_backend* (*qiao_backend_entry_fn)(uint32_t host_abi_major, uint32_t host_abi_minor);
#define QIAO_BACKEND_ENTRY_NAME "qiao_backend_entry"

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_BACKEND_H_ */
