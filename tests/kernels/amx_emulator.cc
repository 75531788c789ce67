#include "tests/kernels/amx_emulator.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <vector>

#include "tests/kernels/amx_tile_state.h"

#if defined(__x86_64__) && defined(__linux__)
#include <ucontext.h>
#include <unistd.h>
#endif

namespace qiao::kernels::cpu {

bool AmxForTests::OnHardware() {
  static const bool has = [] {
    const CpuFacts facts = ReadCpuFacts();
    return facts.LacksAmx().empty() && facts.SavesTiles() && facts.request_tiles() == 0;
  }();
  return has;
}

bool AmxForTests::RunsTheRest() {
  const std::vector<Isa> isas = SupportedIsas();
  return std::count(isas.begin(), isas.end(), Isa::kAvx512Bf16) > 0;
}

std::vector<Isa> AmxForTests::Isas() {
  std::vector<Isa> isas = SupportedIsas();
  if (RunsTheRest() && isas.front() != Isa::kAmx) isas.insert(isas.begin(), Isa::kAmx);
  return isas;
}

#if defined(__x86_64__) && defined(__linux__)

namespace {

constinit thread_local TileState tiles = {};
std::atomic<uint64_t> executed{0};
std::mutex installing;
int installed = 0;
struct sigaction before;

// In the order of the encoding.
constexpr int kRegisters[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

// The three-byte VEX prefix, the opcode and its operands. Manual, volume 2, sections 2.1 to 2.3.
struct Instruction {
  int prefix = 0;  // implied: 0 none, 1 66, 2 F3, 3 F2
  int opcode = 0;
  int reg = 0, rm = 0, vvvv = 0;
  bool memory = false, has_sib = false;
  uint8_t* address = nullptr;  // without the index where the index is a stride
  int64_t index = 0;           // times its scale; 0 without an index register
  int length = 0;
};

// False for what is not a VEX instruction of the map and width that AMX is in.
bool Decode(const uint8_t* ip, const greg_t* registers, Instruction& out) {
  if (ip[0] != 0xc4) return false;
  const int r = ~ip[1] >> 7 & 1, x = ~ip[1] >> 6 & 1, b = ~ip[1] >> 5 & 1;
  const bool wide = ip[2] & 0x80, long_vector = ip[2] & 4;
  if ((ip[1] & 31) != 2 || wide || long_vector) return false;
  out.prefix = ip[2] & 3;
  out.vvvv = ~ip[2] >> 3 & 15;
  out.opcode = ip[3];
  const int mod = ip[4] >> 6, low = ip[4] & 7;
  out.reg = r << 3 | (ip[4] >> 3 & 7);
  out.rm = b << 3 | low;
  out.length = 5;
  out.memory = mod != 3;
  if (!out.memory) return true;

  const auto value = [&](int number) { return static_cast<int64_t>(registers[kRegisters[number]]); };
  int64_t at = 0;
  bool ip_relative = false, wide_displacement = mod == 2;
  if (low == 4) {
    const uint8_t sib = ip[out.length++];
    out.has_sib = true;
    const int index = x << 3 | (sib >> 3 & 7), base = sib & 7;
    if (index != 4) out.index = static_cast<int64_t>(static_cast<uint64_t>(value(index)) << (sib >> 6));
    if (base == 5 && mod == 0) {
      wide_displacement = true;
    } else {
      at = value(b << 3 | base);
    }
  } else if (low == 5 && mod == 0) {
    ip_relative = wide_displacement = true;
  } else {
    at = value(out.rm);
  }
  if (wide_displacement) {
    int32_t displacement;
    std::memcpy(&displacement, ip + out.length, 4);
    out.length += 4;
    at += displacement;
  } else if (mod == 1) {
    at += static_cast<int8_t>(ip[out.length++]);
  }
  if (ip_relative) at += reinterpret_cast<int64_t>(ip) + out.length;
  out.address = reinterpret_cast<uint8_t*>(at);
  return true;
}

const char* ExecuteConfiguration(const Instruction& i) {
  if (i.memory && i.reg % 8 == 0 && i.prefix == 0) return LoadTileConfig(tiles, i.address + i.index);
  if (i.memory && i.reg % 8 == 0 && i.prefix == 1) {
    StoreTileConfig(tiles, i.address + i.index);
    return nullptr;
  }
  if (!i.memory && i.prefix == 0 && i.reg == 0 && i.rm == 0) {
    tiles = {};
    return nullptr;
  }
  if (!i.memory && i.prefix == 3 && i.rm == 0) return ZeroTileData(tiles, i.reg);
  return "not an AMX instruction that the emulator knows";
}

const char* ExecuteMove(const Instruction& i) {
  if (!i.memory || !i.has_sib) return "a tile load or store without a SIB byte";
  if (i.prefix == 1 || i.prefix == 3) return LoadTileData(tiles, i.reg, i.address, i.index);
  if (i.prefix == 2) return StoreTileData(tiles, i.reg, i.address, i.index);
  return "not an AMX instruction that the emulator knows";
}

// Null: done.
const char* Execute(const Instruction& i) {
  const bool product = i.opcode == 0x5c || i.opcode == 0x5e;
  if (!product && i.vvvv != 0) return "VEX.vvvv is used by no operand";
  if (product && i.memory) return "a product of tiles with a memory operand";
  switch (i.opcode) {
    case 0x49:
      return ExecuteConfiguration(i);
    case 0x4b:
      return ExecuteMove(i);
    case 0x5c:
      if (i.prefix == 2) return MultiplyBf16(tiles, i.reg, i.rm, i.vvvv);
      break;
    case 0x5e:
      // none UU, 66 US, F3 SU, F2 SS
      return MultiplyInt8(tiles, i.reg, i.rm, i.vvvv, i.prefix >= 2, i.prefix == 1 || i.prefix == 3);
  }
  return "not an AMX instruction that the emulator knows";
}

// Says it and lets the instruction fail again, without a handler.
void Fail(const uint8_t* ip, const char* why) {
  char text[256];
  const int n = std::snprintf(text, sizeof text,
                              "AMX emulator: illegal instruction at %p: %s (%02x %02x %02x %02x %02x)\n",
                              static_cast<const void*>(ip), why, ip[0], ip[1], ip[2], ip[3], ip[4]);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, static_cast<size_t>(n));
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGILL, &standard, nullptr);
}

void OnIllegalInstruction(int, siginfo_t*, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* ip = reinterpret_cast<const uint8_t*>(registers[REG_RIP]);
  Instruction instruction;
  if (!Decode(ip, registers, instruction)) return Fail(ip, "not an AMX instruction");
  if (const char* why = Execute(instruction)) return Fail(ip, why);
  registers[REG_RIP] += instruction.length;
  executed.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

AmxForTests::AmxForTests() {
  if (OnHardware()) return;
  const std::lock_guard lock(installing);
  if (installed++ > 0) return;
  struct sigaction action = {};
  action.sa_sigaction = OnIllegalInstruction;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGILL, &action, &before);
}

AmxForTests::~AmxForTests() {
  if (OnHardware()) return;
  const std::lock_guard lock(installing);
  if (--installed == 0) ::sigaction(SIGILL, &before, nullptr);
}

uint64_t AmxForTests::Emulated() { return executed.load(); }

#else

AmxForTests::AmxForTests() = default;
AmxForTests::~AmxForTests() = default;
uint64_t AmxForTests::Emulated() { return 0; }

#endif

}  // namespace qiao::kernels::cpu
