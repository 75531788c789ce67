// Who may have raced with whom, found from the order that the API's calls establish and not from what happened to run
// when (QIAO_CANN_CHECK=stress; nothing is kept otherwise).
//
// Streams and host threads are actors with vector clocks. A launch is ordered after everything that its host thread did or
// waited for, and after what its stream had been given; an event carries a stream's past to who waits for it;
// synchronising carries it to the host thread. Two accesses of overlapping bytes, one of them a write, that neither order
// puts first are a race: both are named. What a client does to host memory by itself cannot be seen; copies can.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace qiao::cann {

struct Access;
struct Block;
struct Task;
class Stream;

namespace race {

// For every actor, how much of what it did is known to have happened.
using Clock = std::map<uint64_t, uint64_t>;

struct StreamClock {
  uint64_t actor = 0;  // 0: none yet
  Clock known;
};

// A graph's node for the checker: its task and the nodes that it comes after.
struct Step {
  const Task* task = nullptr;
  std::vector<size_t> after;
};

// `task` was put into the stream's queue by this thread.
void OnTask(Stream& stream, const Task& task);
// So was a graph.
void OnGraph(Stream& stream, const std::string& name, const std::vector<Step>& steps);
// The stream's past, as an event recorded now carries it.
Clock OnRecord(Stream& stream);
void OnWait(Stream& stream, const Clock& recorded);
// This thread waited for all of the stream, or for a recording.
void OnHostWait(Stream& stream);
void OnHostWait(const Clock& recorded);
// This thread itself reads and writes, in a synchronous copy.
void OnHost(const char* api, const std::vector<Access>& accesses);
// This thread freed the block.
void OnFree(const char* api, const Block& block);

}  // namespace race
}  // namespace qiao::cann
