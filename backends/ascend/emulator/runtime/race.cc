#include "backends/ascend/emulator/runtime/race.h"

#include "backends/ascend/emulator/runtime/emulator.h"
#include "backends/ascend/emulator/runtime/memory.h"
#include "backends/ascend/emulator/runtime/stream.h"

namespace qiao::cann::race {

void OnTask(Stream&, const Task&) {}
void OnGraph(Stream&, const std::string&, const std::vector<Step>&) {}
Clock OnRecord(Stream&) { return {}; }
void OnWait(Stream&, const Clock&) {}
void OnHostWait(Stream&) {}
void OnHostWait(const Clock&) {}
void OnHost(const char*, const std::vector<Access>&) {}
void OnFree(const char*, const Block&) {}

}  // namespace qiao::cann::race
