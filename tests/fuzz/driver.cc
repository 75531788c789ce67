// Runs a libFuzzer target without libFuzzer, so that every compiler can: first every file of the corpus, then
// mutants of them for a given time, from a given seed, so that a run can be repeated.
//
//   qiao_fuzz_NAME [-seconds=N] [-runs=N] [-seed=N] [-max_len=BYTES] [-rss_limit_mb=N] [-timeout=SECONDS]
//                  [-artifact_prefix=PATH] FOLDER_OR_FILE...
//
// An input fails when the process dies in it, when it takes more than `timeout` seconds of CPU time (1), or
// when the process grows beyond the memory limit (512 MB). It is then saved as PATHcrash-HASH,
// PATHtimeout-HASH or PATHoom-HASH; giving that file alone runs it again. There is no coverage feedback: what
// it finds depends on the corpus, and long campaigns belong to libFuzzer (-DQIAO_LIBFUZZER=ON).

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" __attribute__((weak)) int LLVMFuzzerInitialize(int* argc, char*** argv);
// Called by the sanitizers after they have printed their report.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<uint8_t>;

struct Options {
  double seconds = 0;
  uint64_t runs = 0;
  uint64_t seed = 1;
  uint64_t max_len = 0;  // 0: twice the longest of the corpus, at least 4096
  uint64_t rss_limit_mb = 512;
  double timeout = 1.0;
  std::string artifact_prefix = "./";
  std::vector<std::string> inputs;
};

// What is being run, for the watchdog and for signal handlers, which may use little more than plain memory.
std::atomic<const uint8_t*> current_data{nullptr};
std::atomic<size_t> current_size{0};
std::atomic<uint64_t> executions{0};
std::atomic<bool> finished{false};
char artifact_prefix[1024] = "./";

// Async-signal-safe.
void SaveCurrent(const char* kind) {
  const uint8_t* data = current_data.load();
  const size_t size = current_size.load();
  if (data == nullptr) return;
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (size_t i = 0; i < size; ++i) hash = (hash ^ data[i]) * 0x100000001b3u;
  char path[1100];
  size_t at = 0;
  const auto append = [&](const char* s) {
    while (*s != '\0' && at + 1 < sizeof path) path[at++] = *s++;
  };
  append(artifact_prefix);
  append(kind);
  append("-");
  for (int shift = 60; shift >= 0 && at + 1 < sizeof path; shift -= 4)
    path[at++] = "0123456789abcdef"[(hash >> shift) & 15];
  path[at] = '\0';
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  size_t written = 0;
  while (fd >= 0 && written < size) {
    const ssize_t n = ::write(fd, data + written, size - written);
    if (n <= 0) break;
    written += static_cast<size_t>(n);
  }
  if (fd >= 0) ::close(fd);
  const auto say = [](const char* s) { (void)!::write(2, s, std::strlen(s)); };
  say("\nfuzz: ");
  say(kind);
  say(fd >= 0 && written == size ? ": the input is saved as " : ": the input could NOT be saved as ");
  say(path);
  say("\n");
}

void OnSignal(int number) {
  SaveCurrent("crash");
  ::signal(number, SIG_DFL);
  ::raise(number);
}

void OnSanitizerDeath() { SaveCurrent("crash"); }

void InstallHandlers() {
  const bool sanitizer = __sanitizer_set_death_callback != nullptr;
  if (sanitizer) __sanitizer_set_death_callback(OnSanitizerDeath);
  ::signal(SIGABRT, OnSignal);
  if (sanitizer) return;  // it handles the others, and its report is worth more
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) ::signal(number, OnSignal);
}

uint64_t PeakRssMb() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) / 1024;
}

double CpuSeconds(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// CPU time, because a busy machine is not the input's fault; an input that blocks gets a minute.
void Watch(clockid_t clock, const Options& options) {
  constexpr double kBlockedSeconds = 60;
  uint64_t seen = ~uint64_t{0};
  double cpu_start = 0;
  auto wall_start = std::chrono::steady_clock::now();
  while (!finished.load()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const uint64_t now = executions.load();
    const double cpu = CpuSeconds(clock);
    if (now != seen) {
      seen = now;
      cpu_start = cpu;
      wall_start = std::chrono::steady_clock::now();
      continue;
    }
    if (current_data.load() == nullptr) continue;
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - wall_start;
    if (cpu - cpu_start > options.timeout || wall.count() > kBlockedSeconds) {
      SaveCurrent("timeout");
      ::_exit(70);
    }
  }
}

void Run(const Bytes& input, const Options& options) {
  // A copy of exactly this size on the heap, so that AddressSanitizer sees a read past the end.
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[input.size()]);
  std::copy(input.begin(), input.end(), copy.get());
  current_size.store(input.size());
  current_data.store(copy.get());
  executions.fetch_add(1);
  LLVMFuzzerTestOneInput(copy.get(), input.size());
  if (PeakRssMb() > options.rss_limit_mb) {
    SaveCurrent("oom");
    ::_exit(71);
  }
  current_data.store(nullptr);
}

// Runs of letters, digits and their like, which in text formats are the words that mean something.
std::vector<std::string> DictionaryOf(const std::vector<Bytes>& corpus) {
  constexpr size_t kMost = 20'000, kLongest = 64;
  std::vector<std::string> words;
  for (const Bytes& entry : corpus) {
    std::string word;
    for (size_t i = 0; i <= entry.size() && words.size() < kMost; ++i) {
      if (i < entry.size() && (std::isalnum(entry[i]) != 0 || entry[i] == '_' || entry[i] == '.')) {
        word += static_cast<char>(entry[i]);
        continue;
      }
      if (word.size() >= 2 && word.size() <= kLongest) words.push_back(word);
      word.clear();
    }
  }
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

class Mutator {
 public:
  Mutator(const std::vector<Bytes>& corpus, uint64_t seed, size_t max_len)
      : corpus_(corpus), dictionary_(DictionaryOf(corpus)), random_(seed), max_len_(max_len) {}

  Bytes Next() {
    Bytes bytes = corpus_[Below(corpus_.size())];
    for (size_t steps = size_t{1} << Below(5); steps > 0; --steps) Step(bytes);
    if (bytes.size() > max_len_) bytes.resize(max_len_);
    return bytes;
  }

 private:
  size_t Below(size_t n) { return n <= 1 ? 0 : static_cast<size_t>(random_() % n); }

  // A piece of bytes, mostly short.
  std::pair<size_t, size_t> Piece(const Bytes& bytes) {
    const size_t begin = Below(bytes.size() + 1);
    const size_t longest = std::min(bytes.size() - begin, size_t{1} << Below(13));
    return {begin, Below(longest + 1)};
  }

  static void Insert(Bytes& bytes, size_t at, const uint8_t* data, size_t size) {
    const Bytes copy(data, data + size);  // the data may lie in `bytes`
    bytes.insert(bytes.begin() + static_cast<long>(at), copy.begin(), copy.end());
  }

  static void Overwrite(Bytes& bytes, size_t at, const uint8_t* data, size_t size) {
    const Bytes copy(data, data + size);
    for (size_t i = 0; i < size && at + i < bytes.size(); ++i) bytes[at + i] = copy[i];
  }

  void Step(Bytes& bytes) {
    static constexpr int64_t kInteresting[] = {0,
                                               1,
                                               -1,
                                               2,
                                               7,
                                               8,
                                               16,
                                               63,
                                               64,
                                               100,
                                               127,
                                               128,
                                               255,
                                               256,
                                               -2,
                                               512,
                                               999,
                                               1023,
                                               1024,
                                               4096,
                                               32767,
                                               32768,
                                               65535,
                                               65536,
                                               100'000'000,
                                               INT32_MAX,
                                               INT32_MIN,
                                               UINT32_MAX,
                                               INT64_MAX,
                                               INT64_MIN,
                                               int64_t{1} << 32,
                                               int64_t{1} << 53,
                                               int64_t{1} << 62};
    const size_t at = Below(bytes.size() + 1);
    switch (Below(12)) {
      case 0:  // a bit
        if (at < bytes.size()) bytes[at] ^= static_cast<uint8_t>(1u << Below(8));
        break;
      case 1:  // a byte
        if (at < bytes.size()) bytes[at] = static_cast<uint8_t>(Below(256));
        break;
      case 2: {  // a new byte, of those that structure text as often as of all
        static constexpr char kStructure[] = "{}[]\",:\\/<>%()0-e.\n \t";
        const auto byte = static_cast<uint8_t>(
            Below(2) == 0 ? Below(256) : static_cast<size_t>(kStructure[Below(sizeof kStructure - 1)]));
        bytes.insert(bytes.begin() + static_cast<long>(at), byte);
        break;
      }
      case 3: {  // remove a piece
        const auto [begin, size] = Piece(bytes);
        bytes.erase(bytes.begin() + static_cast<long>(begin),
                    bytes.begin() + static_cast<long>(begin + size));
        break;
      }
      case 4: {  // copy a piece elsewhere
        const auto [begin, size] = Piece(bytes);
        Insert(bytes, at, bytes.data() + begin, size);
        break;
      }
      case 5: {  // over something
        const auto [begin, size] = Piece(bytes);
        Overwrite(bytes, at, bytes.data() + begin, size);
        break;
      }
      case 6: {  // a piece of another file
        const Bytes& other = corpus_[Below(corpus_.size())];
        const auto [begin, size] = Piece(other);
        Insert(bytes, at, other.data() + begin, size);
        break;
      }
      case 7: {  // the start of this and the end of another
        const Bytes& other = corpus_[Below(corpus_.size())];
        const size_t begin = Below(other.size() + 1);
        bytes.resize(at);
        bytes.insert(bytes.end(), other.begin() + static_cast<long>(begin), other.end());
        break;
      }
      case 8: {  // a little-endian number of 1, 2, 4 or 8 bytes
        const int64_t value = kInteresting[Below(std::size(kInteresting))];
        uint8_t raw[8];
        std::memcpy(raw, &value, 8);
        Overwrite(bytes, at, raw, size_t{1} << Below(4));
        break;
      }
      case 9: {  // a number in digits, in place of one that stands there
        const std::string text = std::to_string(kInteresting[Below(std::size(kInteresting))]);
        size_t begin = at;
        while (begin < bytes.size() && std::isdigit(bytes[begin]) == 0) ++begin;
        size_t end = begin;
        while (end < bytes.size() && std::isdigit(bytes[end]) != 0) ++end;
        bytes.erase(bytes.begin() + static_cast<long>(begin), bytes.begin() + static_cast<long>(end));
        Insert(bytes, begin, reinterpret_cast<const uint8_t*>(text.data()), text.size());
        break;
      }
      case 10: {  // a word
        if (dictionary_.empty()) break;
        const std::string& word = dictionary_[Below(dictionary_.size())];
        const auto* data = reinterpret_cast<const uint8_t*>(word.data());
        if (Below(2) == 0) {
          Insert(bytes, at, data, word.size());
        } else {
          Overwrite(bytes, at, data, word.size());
        }
        break;
      }
      default: {  // one byte many times over, for depth and length
        const uint8_t byte = bytes.empty() ? uint8_t{'['} : bytes[Below(bytes.size())];
        const Bytes run(size_t{1} << Below(11), byte);
        Insert(bytes, at, run.data(), run.size());
        break;
      }
    }
    if (bytes.size() > 2 * max_len_) bytes.resize(max_len_);
  }

  const std::vector<Bytes>& corpus_;
  std::vector<std::string> dictionary_;
  std::mt19937_64 random_;
  size_t max_len_;
};

Bytes ReadBytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

bool ParseOptions(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const size_t equals = argument.find('=');
    if (!argument.starts_with('-') || equals == std::string_view::npos) {
      if (argument.starts_with('-')) return false;
      options.inputs.emplace_back(argument);
      continue;
    }
    const std::string_view name = argument.substr(1, equals - 1), value = argument.substr(equals + 1);
    const auto number = [&](auto& out) {
      return std::from_chars(value.data(), value.data() + value.size(), out).ptr ==
             value.data() + value.size();
    };
    bool ok = true;
    if (name == "seconds") {
      ok = number(options.seconds);
    } else if (name == "runs") {
      ok = number(options.runs);
    } else if (name == "seed") {
      ok = number(options.seed);
    } else if (name == "max_len") {
      ok = number(options.max_len);
    } else if (name == "rss_limit_mb") {
      ok = number(options.rss_limit_mb);
    } else if (name == "timeout") {
      ok = number(options.timeout);
    } else if (name == "artifact_prefix") {
      options.artifact_prefix = value;
      ok = value.size() < sizeof artifact_prefix;
    } else {
      ok = false;
    }
    if (!ok) return false;
  }
  return !options.inputs.empty();
}

}  // namespace

int main(int argc, char** argv) {
  if (LLVMFuzzerInitialize != nullptr) LLVMFuzzerInitialize(&argc, &argv);
  Options options;
  if (!ParseOptions(argc, argv, options)) {
    std::fprintf(
        stderr,
        "usage: %s [-seconds=N] [-runs=N] [-seed=N] [-max_len=BYTES] [-rss_limit_mb=N] [-timeout=SECONDS] "
        "[-artifact_prefix=PATH] FOLDER_OR_FILE...\n",
        argv[0]);
    return 2;
  }
  std::memcpy(artifact_prefix, options.artifact_prefix.c_str(), options.artifact_prefix.size() + 1);

  std::vector<fs::path> paths;
  for (const std::string& input : options.inputs) {
    if (fs::is_directory(input)) {
      for (const auto& entry : fs::recursive_directory_iterator(input)) {
        if (entry.is_regular_file()) paths.push_back(entry.path());
      }
    } else if (fs::is_regular_file(input)) {
      paths.emplace_back(input);
    } else {
      std::fprintf(stderr, "fuzz: %s: no such file or folder\n", input.c_str());
      return 2;
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> corpus = {Bytes()};
  size_t longest = 0;
  for (const fs::path& path : paths) {
    corpus.push_back(ReadBytes(path));
    longest = std::max(longest, corpus.back().size());
  }
  if (options.max_len == 0) options.max_len = std::max(size_t{4096}, 2 * longest);

  InstallHandlers();
  clockid_t clock;
  if (::pthread_getcpuclockid(::pthread_self(), &clock) != 0) clock = CLOCK_PROCESS_CPUTIME_ID;
  std::thread watchdog([&] { Watch(clock, options); });

  for (const Bytes& input : corpus) Run(input, options);
  const uint64_t seeds = executions.load();
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  if (options.seconds > 0 || options.runs > 0) {
    Mutator mutator(corpus, options.seed, static_cast<size_t>(options.max_len));
    while ((options.seconds <= 0 || elapsed() < options.seconds) &&
           (options.runs == 0 || executions.load() < options.runs)) {
      Run(mutator.Next(), options);
    }
  }
  finished.store(true);
  watchdog.join();
  std::printf(
      "fuzz: %llu files of the corpus and %llu mutants in %.1f s, seed %llu, peak %llu MB: no failure\n",
      static_cast<unsigned long long>(seeds - 1), static_cast<unsigned long long>(executions.load() - seeds),
      elapsed(), static_cast<unsigned long long>(options.seed), static_cast<unsigned long long>(PeakRssMb()));
  return 0;
}
