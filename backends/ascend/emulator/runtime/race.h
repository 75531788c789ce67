// Who may have raced with whom, found from the order that the API's calls establish and not from what happened to run
// when (QIAO_CANN_CHECK=stress; nothing is kept otherwise).
//
// The host and every stream are actors with vector clocks (Fidge 1988, Mattern 1989). A launch comes after everything
// that the host did or waited for before it, and after what its stream had been given; an event carries a stream's past
// to who waits for it; synchronising carries it to the host. Two accesses of overlapping bytes, one of them a write,
// neither of which that order puts first, are a race: both are named. All host threads are one actor, as nobody here sees
// how they wait for each other. What a client does by itself to host memory is not seen either; its copies are.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace qiao::cann {

struct Access;
struct Block;
struct Task;
class Stream;

namespace race {

// For every actor, up to which of its deeds all are known to have happened before.
using Clock = std::map<uint64_t, uint64_t>;

struct StreamClock {
  uint64_t actor = 0;  // 0 is the host: none yet
  Clock known;
};

// A node of a graph, for the checker: its task and the nodes that it comes after.
struct Step {
  const Task* task = nullptr;
  std::vector<size_t> after;
};

// The host put `task` into the stream's queue.
void OnTask(Stream& stream, const Task& task);
// So with a graph, whose nodes are not looked at against each other again.
void OnGraph(Stream& stream, const std::string& name, const std::vector<Step>& steps);
// A graph was captured: its nodes must not race among themselves.
void OnCaptured(const std::string& name, const std::vector<Step>& steps);
// The stream's past, as an event recorded now carries it, and what the stream then waits for.
Clock OnRecord(Stream& stream);
void OnWait(Stream& stream, const Clock& recorded);
// The host waited for all of the stream, or for a recording.
void OnHostWait(Stream& stream);
void OnHostWait(const Clock& recorded);
// The host itself reads and writes, in a synchronous copy.
void OnHost(const char* api, const std::vector<Access>& accesses);
// The host freed the block, which no table holds any more.
void OnFree(const char* api, const Block& block);

}  // namespace race
}  // namespace qiao::cann
