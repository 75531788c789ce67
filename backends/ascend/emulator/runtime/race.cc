#include "backends/ascend/emulator/runtime/race.h"

#include <algorithm>
#include <deque>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/emulator.h"
#include "backends/ascend/emulator/runtime/memory.h"
#include "backends/ascend/emulator/runtime/stream.h"

namespace qiao::cann::race {
namespace {

constexpr uint64_t kHost = 0;
constexpr size_t kMostRemembered = 512;  // accesses of one block; the oldest are forgotten

// One access of one block.
struct Deed {
  uintptr_t begin, end;
  bool write;
  uint64_t actor, when;
  std::string what;  // "Matmul on stream #2 reads x"
};

struct Checker {
  std::mutex mutex;
  Clock host;
  uint64_t actors = kHost;
  std::map<uintptr_t, std::deque<Deed>> deeds;  // by the start of the block
};

Checker& The() {
  static auto* const checker = new Checker;
  return *checker;
}

void Join(Clock& into, const Clock& from) {
  for (const auto& [actor, when] : from) into[actor] = std::max(into[actor], when);
}

uint64_t At(const Clock& clock, uint64_t actor) {
  auto it = clock.find(actor);
  return it == clock.end() ? 0 : it->second;
}

std::string Sentence(const std::string& who, const Access& access) {
  return absl::StrCat(who, access.write ? " writes " : " reads ", access.name == nullptr ? "" : access.name);
}

void Compare(const Deed& deed, const Clock& known, const std::deque<Deed>& earlier,
             const std::string& block) {
  for (const Deed& other : earlier) {
    const bool apart = other.end <= deed.begin || deed.end <= other.begin || (!other.write && !deed.write);
    if (apart || other.actor == deed.actor || At(known, other.actor) >= other.when) continue;
    Fault("race", absl::StrCat(other.what, " and ", deed.what, " in ", block,
                               ", and nothing says which comes first"));
  }
}

// Forgets what every later conflict with would also be one with `deed`.
void Remember(Deed deed, const Clock& known, std::deque<Deed>& deeds) {
  const auto covered = [&](const Deed& old) {
    if (old.begin < deed.begin || old.end > deed.end || At(known, old.actor) < old.when) return false;
    return deed.write || (!old.write && old.actor == deed.actor);
  };
  deeds.erase(std::remove_if(deeds.begin(), deeds.end(), covered), deeds.end());
  deeds.push_back(std::move(deed));
  if (deeds.size() > kMostRemembered) deeds.pop_front();
}

// An actor's access, at the time that `known` holds for it.
void Note(uint64_t actor, const Clock& known, const std::string& who, const Access& access) {
  Pins blocks;
  if (Memory::Get().Find(access.address, access.bytes, &blocks, nullptr) != ACL_SUCCESS) return;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(access.address);
  for (const std::shared_ptr<Block>& block : blocks) {
    Deed deed;
    deed.begin = std::max(begin, block->begin);
    deed.end = std::min(begin + access.bytes, block->begin + block->committed);
    deed.write = access.write;
    deed.actor = actor;
    deed.when = At(known, actor);
    deed.what = Sentence(who, access);
    std::deque<Deed>& deeds = The().deeds[block->begin];
    Compare(deed, known, deeds, block->Describe());
    Remember(std::move(deed), known, deeds);
  }
}

// A new deed of the stream's, after all that the host did: its clock.
const Clock& Advance(Stream& stream) {
  if (stream.clock.actor == kHost) stream.clock.actor = ++The().actors;
  Join(stream.clock.known, The().host);
  ++stream.clock.known[stream.clock.actor];
  return stream.clock.known;
}

bool Off() { return !GetSettings().stress(); }

}  // namespace

void OnTask(Stream& stream, const Task& task) {
  if (Off()) return;
  std::lock_guard lock(The().mutex);
  const Clock& known = Advance(stream);
  const std::string who = absl::StrCat(task.name, " on ", stream.Describe());
  for (const Access& access : task.accesses) Note(stream.clock.actor, known, who, access);
}

void OnGraph(Stream& stream, const std::string& name, const std::vector<Step>& steps) {
  if (Off()) return;
  std::lock_guard lock(The().mutex);
  const Clock& known = Advance(stream);
  for (const Step& step : steps) {
    const std::string who = absl::StrCat(step.task->name, " of ", name, " on ", stream.Describe());
    for (const Access& access : step.task->accesses) Note(stream.clock.actor, known, who, access);
  }
}

void OnCaptured(const std::string& name, const std::vector<Step>& steps) {
  if (Off()) return;
  // before[i][j]: node j comes before node i.
  std::vector<std::vector<bool>> before(steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    before[i].assign(i, false);
    for (size_t earlier : steps[i].after) {
      before[i][earlier] = true;
      for (size_t j = 0; j < earlier; ++j) {
        if (before[earlier][j]) before[i][j] = true;
      }
    }
    for (size_t j = 0; j < i; ++j) {
      if (before[i][j]) continue;
      for (const Access& a : steps[j].task->accesses) {
        for (const Access& b : steps[i].task->accesses) {
          const uintptr_t at = reinterpret_cast<uintptr_t>(a.address),
                          bt = reinterpret_cast<uintptr_t>(b.address);
          if ((!a.write && !b.write) || at + a.bytes <= bt || bt + b.bytes <= at) continue;
          Fault("race",
                absl::StrCat("node ", j, " of ", name, ", where ", Sentence(steps[j].task->name, a),
                             ", and node ", i, ", where ", Sentence(steps[i].task->name, b), ", in ",
                             Memory::Get().Describe(b.address), ", and nothing says which comes first"));
        }
      }
    }
  }
}

Clock OnRecord(Stream& stream) {
  if (Off()) return {};
  std::lock_guard lock(The().mutex);
  return Advance(stream);
}

void OnWait(Stream& stream, const Clock& recorded) {
  if (Off()) return;
  std::lock_guard lock(The().mutex);
  Join(stream.clock.known, recorded);
}

void OnHostWait(Stream& stream) {
  if (Off()) return;
  std::lock_guard lock(The().mutex);
  Join(The().host, stream.clock.known);
}

void OnHostWait(const Clock& recorded) {
  if (Off()) return;
  std::lock_guard lock(The().mutex);
  Join(The().host, recorded);
}

void OnHost(const char* api, const std::vector<Access>& accesses) {
  if (Off()) return;
  std::lock_guard lock(The().mutex);
  ++The().host[kHost];
  for (const Access& access : accesses) Note(kHost, The().host, api, access);
}

void OnFree(const char* api, const Block& block) {
  if (Off()) return;
  std::lock_guard lock(The().mutex);
  ++The().host[kHost];
  auto it = The().deeds.find(block.begin);
  if (it == The().deeds.end()) return;
  Deed deed;
  deed.begin = block.begin;
  deed.end = block.begin + block.committed;
  deed.write = true;
  deed.actor = kHost;
  deed.when = At(The().host, kHost);
  deed.what = absl::StrCat(api, " frees it");
  Compare(deed, The().host, it->second, block.Describe());
  The().deeds.erase(it);
}

}  // namespace qiao::cann::race
